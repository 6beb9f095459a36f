/** Data of the application's own is named where it would be left behind, and a reason to refuse until somebody says that it may be. */
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { copyDatabase, openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { exportTo, fileOutput, TABLE_NAMES } from '../../src/transfer/index.ts'
import { documentOf, runCommand } from '../cli/support/command.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { counts, directions, filled, type Kind, kinds, type Place, postgres, sqlite } from './support/places.ts'
import { forPostgres, plain } from './support/rows.ts'

/** Ledgers and bookkeeping of other programs, an empty table, a column without a value, a view: nothing is lost with them. */
const HARMLESS = [
  'CREATE TABLE __app_migrations (id integer, hash text)',
  "INSERT INTO __app_migrations VALUES (1, 'x')",
  'CREATE TABLE _litestream_seq (id integer, seq integer)',
  'INSERT INTO _litestream_seq VALUES (1, 1)',
  'CREATE TABLE empty_links (id text)',
  'ALTER TABLE policies ADD COLUMN author text',
  'CREATE VIEW up AS SELECT node_id FROM nodes',
]
const OTHERS = [
  'CREATE TABLE links (source text, target text, cost integer)',
  "INSERT INTO links VALUES ('a', 'b', 1), ('b', 'c', 2), ('c', 'd', 3)",
  'ALTER TABLE nodes ADD COLUMN color text',
  "UPDATE nodes SET color = 'red' WHERE node_id = (SELECT min(node_id) FROM nodes)",
]
const LEFT = [
  { table: 'links', rows: 3 },
  { table: 'nodes', column: 'color', rows: 1 },
]
const NAMED = 'links (3 rows), nodes.color (1 row)'

async function withOthers(kind: Kind, statements: readonly string[] = [...HARMLESS, ...OTHERS]): Promise<Place> {
  const place = await filled(await kind.open(), kind === sqlite ? plain(4) : forPostgres(plain(4)))
  for (const statement of statements) await place.other.execute(statement)
  return place
}

describe.each(directions)('a copy from $names.0 to $names.1', ({ from, to }) => {
  test('names what it would leave behind, and is refused', async () => {
    await using source = await withOthers(from)
    await using target = await to.open()
    for (const dryRun of [true, false]) {
      const error = await expectCode(copyDatabase(source.url, target.url, { dryRun }), 'SCHEMA_MISMATCH')
      expect(error.message).toContain(NAMED)
      expect(error.issues.map(({ path }) => path)).toEqual(['links', 'nodes.color'])
    }
    await filled(target)
    expect(await counts(target)).toEqual({ nodes: 0, policies: 0, path_cache: 0 })
    const copied = await copyDatabase(source.url, target.url, { ignoreOtherTables: true })
    expect(copied.leftBehind).toEqual(LEFT)
    expect(await counts(target)).toEqual({ nodes: 4, policies: 4, path_cache: 4 })
  })

  test('takes no notice of ledgers, empty tables and views', async () => {
    await using source = await withOthers(from, HARMLESS)
    await using target = await to.open()
    expect(await copyDatabase(source.url, target.url)).not.toHaveProperty('leftBehind')
  })

  test('by the command exits with 4, or says what it left', async () => {
    await using source = await withOthers(from)
    await using target = await to.open()
    const refused = await runCommand(['copy', '--from', source.url, '--to', target.url])
    expect(refused).toMatchObject({ code: 4, stdout: '' })
    expect(refused.stderr).toContain(NAMED)
    const copied = await runCommand(['copy', '--from', source.url, '--to', target.url, '--ignore-other-tables'])
    expect(copied.code, copied.stderr).toBe(0)
    expect(copied.stdout).toContain(NAMED)
  })
})

describe.each(kinds)('an export of $name', (kind) => {
  test('is refused, and leaves no file', async () => {
    using folder = temporaryFolder()
    await using source = await withOthers(kind)
    const file = folder.file('mesh.ndjson')
    const options = { tables: TABLE_NAMES, skipInvalid: false, onInvalid: () => {} }
    const refused = await expectCode(exportTo(source.url, await fileOutput(file), options), 'SCHEMA_MISMATCH')
    expect(refused.message).toContain(NAMED)
    expect(existsSync(file)).toBe(false)
    const output = await fileOutput(file)
    const done = await exportTo(source.url, output, { ...options, ignoreOtherTables: true })
    expect(done).toMatchObject({ complete: true, leftBehind: LEFT })
  })

  test('by the command exits with 4, or says what it left', async () => {
    await using source = await withOthers(kind)
    expect(await runCommand(['export', '--url', source.url])).toMatchObject({ code: 4, stdout: '' })
    const done = await runCommand(['export', '--url', source.url, '--ignore-other-tables'])
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toContain(NAMED)
  })
})

test('a virtual table is named once, and a generated column not at all', async () => {
  await using source = await withOthers(sqlite, [
    'CREATE VIRTUAL TABLE words USING fts5(body)',
    "INSERT INTO words VALUES ('one'), ('two')",
    'ALTER TABLE nodes ADD COLUMN upper TEXT AS (upper(node_id)) VIRTUAL',
    'CREATE TABLE "order ""x""" (id INTEGER PRIMARY KEY AUTOINCREMENT)',
    'INSERT INTO "order ""x""" DEFAULT VALUES',
  ])
  using folder = temporaryFolder()
  const { message } = await expectCode(copyDatabase(source.url, folder.file('copy.db')), 'SCHEMA_MISMATCH')
  expect(message).toContain('behind: words (2 rows), order "x" (1 row).')
})

describePostgres('on PostgreSQL', () => {
  test('other schemas count, but not another store’s, nor an extension’s', async () => {
    await using source = await withOthers(postgres, [
      'CREATE SCHEMA app',
      'CREATE TABLE app.links (id integer)',
      'INSERT INTO app.links VALUES (1)',
      'CREATE SCHEMA tenant',
      'CREATE TABLE tenant.meshstore_state (name text)',
      'CREATE TABLE tenant.nodes (id integer)',
      'INSERT INTO tenant.nodes VALUES (1)',
      'CREATE TABLE parts (id integer) PARTITION BY RANGE (id)',
      'CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)',
      'INSERT INTO parts VALUES (1), (2)',
    ])
    using folder = temporaryFolder()
    const { message } = await expectCode(copyDatabase(source.url, folder.file('copy.db')), 'SCHEMA_MISMATCH')
    expect(message).toContain('behind: parts (2 rows), app.links (1 row).')
  })

  test('a table that is locked or may not be read is named without its rows', async () => {
    await using source = await createDatabase()
    await (await openStorage(source.url)).close()
    await source.query('CREATE TABLE links (id integer)')
    const client = await source.client()
    await client.query('BEGIN')
    await client.query('LOCK TABLE links')
    using folder = temporaryFolder()
    const copying = copyDatabase(source.url, folder.file('copy.db'), { busyTimeoutMs: 50 })
    expect((await expectCode(copying, 'SCHEMA_MISMATCH')).message).toContain('links (rows not counted)')
    await client.query('ROLLBACK')
  })

  test('a backup is made, and the manifest, health() and the command tell of it', async () => {
    await using source = await withOthers(postgres)
    await using store = await openStorage(source.url)
    using folder = temporaryFolder()
    const manifest = await store.backup(folder.file('mesh.backup'))
    expect(manifest.leftBehind).toEqual(LEFT)
    expect(JSON.parse(readFileSync(folder.file('mesh.backup.manifest.json'), 'utf8'))).toMatchObject({
      version: 2,
      leftBehind: LEFT,
    })
    expect(await verifyBackup(manifest.file)).toEqual(manifest)
    const { problems } = await store.health()
    expect(problems).toMatchObject([{ code: 'SCHEMA_MISMATCH', message: expect.stringContaining(NAMED) }])
    const made = await runCommand(['backup', 'create', '--url', source.url, '--file', folder.file('b.backup')])
    expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining(NAMED) })

    await source.other.execute('DROP TABLE links; ALTER TABLE nodes DROP COLUMN color')
    expect(await store.backup(folder.file('mesh-2.backup'))).not.toHaveProperty('leftBehind')
    expect((await store.health()).problems).toEqual([])
  })

  test('a file’s backup is restored without them only if that is wanted', async () => {
    await using source = await withOthers(sqlite)
    await using target = await postgres.open()
    using folder = temporaryFolder()
    await using store = await openStorage(source.url)
    const { file } = await store.backup(folder.file('mesh.backup'))
    expect((await expectCode(restoreBackup(file, target.url), 'SCHEMA_MISMATCH')).message).toContain(NAMED)
    const refused = await runCommand(['restore', '--from', file, '--to', target.url, '--dry-run'])
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining(NAMED) })
    const restored = await runCommand([
      'restore',
      '--from',
      file,
      '--to',
      target.url,
      '--ignore-other-tables',
      '--json',
    ])
    expect(documentOf(restored)).toMatchObject({ leftBehind: LEFT })
  })

  test('a move is refused before anything is changed, or leaves them in the file', async () => {
    await using source = await withOthers(sqlite)
    await using target = await createDatabase()
    await using store = await openStorage(source.url)
    expect((await expectCode(store.moveTo(target.url), 'SCHEMA_MISMATCH')).message).toContain(NAMED)
    expect(await target.query("SELECT 1 FROM pg_tables WHERE tablename = 'nodes'")).toEqual([])
    const flags = ['move', '--from', source.url, '--to', target.url]
    for (const flag of ['--dry-run', '--yes']) {
      const refused = await runCommand([...flags, flag])
      expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining(NAMED) })
    }
    const planned = await runCommand([...flags, '--dry-run', '--ignore-other-tables'])
    expect(planned).toMatchObject({ code: 0, stdout: expect.stringContaining(NAMED) })
    expect((await store.moveTo(target.url, { ignoreOtherTables: true })).leftBehind).toEqual(LEFT)
    expect(store.dialect).toBe('postgresql')
  })
})
