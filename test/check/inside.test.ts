/** Findings inside a SQLite file. */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { check } from '../../src/check/index.ts'
import { adopt } from '../../src/open/migrate.ts'
import { temporaryFolder } from '../support/folders.ts'
import { foreignFile } from '../support/other-program.ts'
import { link, openApp } from '../tables/app/stages.ts'
import { kinds, only, reasonFor, type SoundFile, soundFile, wrong } from './support/sound.ts'

describe('damage', () => {
  test('a page of rows that was overwritten', async () => {
    using sound = await soundFile()
    damage(sound, pageOf(sound, 'nodes') + 1_000, Buffer.alloc(2_000, 0xff))
    const report = await check(sound.path)
    expect(kinds(report)).toContain('error integrity')
    const [finding] = report.findings
    expect(finding).toMatchObject({ severity: 'error', advice: expect.stringContaining('restore the newest backup') })
  })

  test('an index without some of the rows', async () => {
    using sound = await soundFile()
    sound.execute(`PRAGMA writable_schema = ON;
      CREATE TABLE empty (started integer); CREATE INDEX empty_started ON empty (started);
      UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'empty_started')
      WHERE name = 'idx_nodes_started'`)
    const report = await check(sound.path)
    const integrity = report.findings.filter((finding) => finding.check === 'integrity')
    expect(integrity.length).toBe(101)
    expect(integrity.at(-1)).toMatchObject({ severity: 'error', message: expect.stringMatching(/^There are \d+ more/) })
    expect(integrity.map(({ message }) => message)).toContain(
      'integrity_check: row 1 missing from index idx_nodes_started',
    )
  })

  test('a file that is no database', async () => {
    using sound = await soundFile()
    writeFileSync(sound.path, 'something else '.repeat(1_000))
    const report = await check(sound.path)
    expect(kinds(report)).toEqual(['error open'])
    expect(only(report, 'error', 'open').advice).toContain('restore the newest backup')
    expect(reasonFor(report, 'integrity')).toBe('The file could not be opened.')
  })

  test('a row that breaks a CHECK is no damage: it has its own finding', async () => {
    using sound = await soundFile()
    sound.execute("UPDATE nodes SET interfaces = '{}' WHERE node_id = 'n-0001'")
    expect(kinds(await check(sound.path))).toEqual(['error rows'])
  })
})

describe('the schema', () => {
  test('of an empty file', async () => {
    using folder = temporaryFolder()
    const path = folder.write('mesh.db', '')
    const report = await check(path)
    expect(only(report, 'warning', 'migrations').advice).toContain('meshstore migrate up')
    expect(reasonFor(report, 'rows')).toBe('The schema is not up to date.')
  })

  test('that is not what the migrations made', async () => {
    using sound = await soundFile()
    sound.execute('DROP INDEX idx_nodes_started; ALTER TABLE policies ADD COLUMN theirs text')
    const schema = (await check(sound.path)).findings.filter((finding) => finding.check === 'schema')
    expect(schema.map(({ severity, table }) => `${severity} ${table}`).sort()).toEqual([
      'error nodes',
      'error policies',
    ])
  })

  test('without one of the tables', async () => {
    using sound = await soundFile()
    sound.execute('DROP TABLE policies')
    const report = await check(sound.path)
    expect(only(report, 'error', 'schema')).toMatchObject({ table: 'policies' })
    expect(reasonFor(report, 'rows')).toContain('SQLITE_ERROR')
  })

  test('with a trigger, and an index, of others', async () => {
    using sound = await soundFile()
    sound.execute(
      'CREATE TRIGGER theirs AFTER INSERT ON nodes BEGIN SELECT 1; END; CREATE INDEX also ON policies (rules_count); CREATE TABLE more (a)',
    )
    const report = await check(sound.path)
    expect(wrong(report)).toEqual([])
    expect(report.findings.map(({ message }) => message).sort()).toEqual([
      expect.stringContaining('index also on policies'),
      expect.stringContaining('trigger theirs on nodes'),
    ])
  })

  test('whose record is refused', async () => {
    using sound = await soundFile()
    sound.execute("UPDATE __drizzle_migrations SET hash = 'another'")
    const report = await check(sound.path)
    expect(only(report, 'error', 'migrations').message).toMatch(/^MIGRATION_EDITED: /)
    expect(reasonFor(report, 'schema')).toBeDefined()
  })

  test('that a newer version changed', async () => {
    using sound = await soundFile()
    sound.execute("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('newer', 9999999999999)")
    sound.execute("INSERT INTO meshstore_state VALUES ('migration:9999999999999', '9999_newer', 0)")
    const report = await check(sound.path)
    expect(wrong(report)).toEqual([])
    expect(reasonFor(report, 'schema')).toContain('newer version')
  })

  const THEIR_TABLES = `CREATE TABLE nodes (node_id TEXT PRIMARY KEY, interfaces TEXT NOT NULL, protocols TEXT NOT NULL,
      started BOOLEAN DEFAULT 0, routes_discovered INTEGER DEFAULT 0, created_at REAL NOT NULL, updated_at REAL NOT NULL);
    CREATE TABLE policies (policy_id TEXT PRIMARY KEY, yaml_content TEXT NOT NULL, rules_count INTEGER NOT NULL,
      created_at REAL NOT NULL, updated_at REAL NOT NULL);
    CREATE TABLE path_cache (cache_key TEXT PRIMARY KEY, source TEXT NOT NULL, destination TEXT NOT NULL, k INTEGER NOT NULL,
      bundle_json TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL);
    INSERT INTO nodes VALUES ('good', '[]', '[]', 1, 0, 1.5, 2.5);`

  test('of another program, which can be adopted or not', async () => {
    using folder = temporaryFolder()
    const path = foreignFile(folder.file('mesh.db'), THEIR_TABLES)
    expect(only(await check(path), 'warning', 'migrations').advice).toContain('meshstore migrate adopt --dry-run')
    new Sqlite(path).exec("INSERT INTO nodes VALUES ('bad', 'no list', '[]', 1, 0, 1.5, 2.5)").close()
    const report = await check(path)
    expect(only(report, 'error', 'migrations').message).toMatch(/^SCHEMA_MISMATCH: /)
    expect(only(report, 'error', 'rows')).toMatchObject({ table: 'nodes', key: 'bad', column: 'interfaces' })
    await adopt(path, { quarantine: folder.file('quarantine'), backup: false })
  })
})

describe('the last backup', () => {
  test('no backup, an old one, one of another day', async () => {
    using sound = await soundFile()
    sound.execute("DELETE FROM meshstore_state WHERE name = 'last_backup'")
    expect(only(await check(sound.path), 'warning', 'last-backup').advice).toContain('meshstore backup create')
    sound.execute("INSERT INTO meshstore_state VALUES ('last_backup', '', unixepoch('subsec') - 8.5 * 86400)")
    expect(only(await check(sound.path), 'warning', 'last-backup').message).toContain('8 days ago')
    sound.execute("UPDATE meshstore_state SET updated_at = unixepoch('subsec') - 6 * 86400 WHERE name = 'last_backup'")
    expect((await check(sound.path)).findings).toEqual([])
    sound.execute("UPDATE meshstore_state SET updated_at = 'yesterday' WHERE name = 'last_backup'")
    expect(only(await check(sound.path), 'warning', 'last-backup').message).toContain('No backup')
    sound.execute("DELETE FROM meshstore_state WHERE name = 'last_backup'; DELETE FROM nodes; DELETE FROM policies")
    expect((await check(sound.path)).findings).toEqual([])
  })

  test('none, and rows of an own table alone', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using app = await openApp(`sqlite:${path}`)
    expect(wrong(await check(path))).toEqual([])
    await app.tables.links.create(link('l'))
    expect(only(await check(path), 'warning', 'last-backup').message).toContain('No backup')
  })
})

/** The offset in the file of the table's first page of rows. */
function pageOf({ path }: SoundFile, table: string): number {
  const raw = new Sqlite(path)
  const page = raw
    .prepare<[string], number>("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno")
    .pluck()
    .get(table)
  raw.close()
  if (page === undefined) throw new Error(`${table} has no page.`)
  return (page - 1) * 4_096
}

function damage({ path }: SoundFile, at: number, bytes: Buffer): void {
  const before = readFileSync(path)
  const handle = openSync(path, 'r+')
  writeSync(handle, bytes, 0, bytes.length, at)
  closeSync(handle)
  expect(readFileSync(path).equals(before)).toBe(false)
}
