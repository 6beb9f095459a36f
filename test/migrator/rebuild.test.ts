/** A table that SQLite has to build anew keeps its rows, and those of the tables that refer to it. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { migrate as drizzleMigrate } from 'drizzle-orm/better-sqlite3/migrator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BusyRetry } from '../../src/database/sqlite/busy-retry.ts'
import { openConnection } from '../../src/database/sqlite/raw-connection.ts'
import { migrateSqlite } from '../../src/migrator/apply-sqlite.ts'
import type { Migration } from '../../src/migrator/migrations.ts'
import { migrationsOf, type TreeCopy } from '../schema/tree-copy.ts'
import { HERE, migrate, migrated, opened, statusOf } from './support/commands.ts'
import { rowsFor, type Scratch, sqliteScratch, using } from './support/databases.ts'
import { CHECK_ROUTES, fileOf, grown, ledgerOf, type Step, tagOf, without, withSql } from './support/trees.ts'

const SPOIL: Step = { name: 'spoil' }
let tree: TreeCopy
let leavingOrphans: TreeCopy
/** The migrations of the tree, as its migrator knows them. */
const known = (): Migration[] =>
  migrationsOf(tree).sqlite.map(({ tag, when, sql }) => {
    const hash = createHash('sha256').update(sql).digest('hex')
    return { tag, when, hash, file: fileOf('sqlite', tag), statements: sql.split('--> statement-breakpoint') }
  })
const tag = (): string => tagOf(tree, CHECK_ROUTES)

beforeAll(async () => {
  using more = await grown(CHECK_ROUTES, SPOIL)
  leavingOrphans = withSql(more, SPOIL, () => "DELETE FROM nodes WHERE node_id = 'gw-1';\n")
  tree = without(leavingOrphans, SPOIL)
})
afterAll(() => {
  tree[Symbol.dispose]()
  leavingOrphans[Symbol.dispose]()
})

/** Another program's, in the same file. */
const CHILDREN = `
  CREATE TABLE links (id INTEGER PRIMARY KEY, node TEXT NOT NULL REFERENCES nodes (node_id) ON DELETE CASCADE ON UPDATE CASCADE);
  CREATE TABLE owners (node TEXT REFERENCES nodes (node_id) ON DELETE SET NULL, owner TEXT);
  INSERT INTO links VALUES (1, 'gw-1'), (2, 'gw-2'), (3, 'gw-1');
  INSERT INTO owners VALUES ('gw-1', 'ann'), (NULL, 'bob');
`
const TABLES = ['nodes', 'policies', 'path_cache', 'links', 'owners']

async function filled(scratch: Scratch): Promise<void> {
  await migrated(HERE, scratch.url, 'up')
  await scratch.query(rowsFor('sqlite'))
  await scratch.query(CHILDREN)
}

async function rowsOf(scratch: Scratch): Promise<Record<string, object[]>> {
  const rows: Record<string, object[]> = {}
  for (const table of TABLES) rows[table] = await scratch.query(`SELECT * FROM ${table} ORDER BY 1, 2`)
  return rows
}

describe('a table that is built anew', () => {
  test('is what drizzle-kit makes of a changed CHECK', () => {
    const sql = tree.read(fileOf('sqlite', tag()))
    expect(sql).toMatch(/PRAGMA foreign_keys=OFF[\s\S]*CREATE TABLE `__new_nodes`[\s\S]*DROP TABLE `nodes`/)
    expect(sql).toMatch(/ALTER TABLE `__new_nodes` RENAME TO `nodes`[\s\S]*PRAGMA foreign_keys=ON/)
  })

  test('keeps its rows, and those that refer to it with ON DELETE CASCADE and SET NULL', async () => {
    await using scratch = sqliteScratch()
    await filled(scratch)
    const before = await rowsOf(scratch)
    expect(before).toMatchObject({ nodes: { length: 2 }, links: { length: 3 }, owners: { length: 2 } })
    await migrated(tree, scratch.url, 'up')
    expect(await rowsOf(scratch)).toEqual(before)
    const status = await statusOf(tree, scratch.url)
    expect(status).toMatchObject({
      code: 0,
      drift: [],
      others: expect.arrayContaining(['table links', 'table owners']),
    })
    // The foreign key still holds, and refers to the new table.
    using(scratch.path, (raw) => {
      raw.pragma('foreign_keys = ON')
      expect(raw.pragma('foreign_key_check')).toEqual([])
      raw.exec("DELETE FROM nodes WHERE node_id = 'gw-1'")
      expect(raw.prepare('SELECT id FROM links').pluck().all()).toEqual([2])
      expect(() => raw.exec("INSERT INTO links VALUES (9, 'nobody')")).toThrow(/FOREIGN KEY/)
    })
  })

  test('the same by openStorage(), whose connection enforces foreign keys again afterwards', async () => {
    await using scratch = sqliteScratch()
    await filled(scratch)
    const before = await rowsOf(scratch)
    expect(await opened(tree, scratch.url, 'apply')).toEqual([{ nodes: ['apply', 'gw-1', 'gw-2'] }])
    expect(await rowsOf(scratch)).toMatchObject({ links: before.links, owners: before.owners })

    for (const setting of ['ON', 'OFF']) {
      const raw = openConnection(scratch.path, { readOnly: false })
      raw.pragma(`foreign_keys = ${setting}`)
      const more = { tag: '9999_more', file: 'more', when: 9e12, hash: setting, statements: ['CREATE TABLE more (id)'] }
      await migrateSqlite(raw, new BusyRetry(100), {}, [...known(), more])
      expect(raw.pragma('foreign_keys', { simple: true })).toBe(setting === 'ON' ? 1 : 0)
      raw.exec('DROP TABLE more; DELETE FROM __drizzle_migrations WHERE created_at = 9e12')
      const failing = { ...more, statements: ['CREATE TABLE more (id)', 'DROP TABLE nothing'] }
      await expect(migrateSqlite(raw, new BusyRetry(100), {}, [...known(), failing])).rejects.toThrow()
      expect(raw.pragma('foreign_keys', { simple: true })).toBe(setting === 'ON' ? 1 : 0)
      raw.close()
    }
  })

  test('loses them with drizzle-orm’s own migrator: the negative control', async () => {
    await using scratch = sqliteScratch()
    await filled(scratch)
    using(scratch.path, (raw) => {
      // As every program does that wants its foreign keys to mean something.
      raw.pragma('foreign_keys = ON')
      drizzleMigrate(drizzle(raw), { migrationsFolder: join(tree.root, 'migrations/sqlite') })
      expect(raw.prepare('SELECT count(*) FROM nodes').pluck().get()).toBe(2)
      expect(raw.prepare('SELECT count(*) FROM links').pluck().get()).toBe(0)
      expect(raw.prepare('SELECT count(*) FROM owners WHERE node IS NOT NULL').pluck().get()).toBe(0)
    })
  })

  test.each([
    ['a view', 'started', 'CREATE VIEW started AS SELECT node_id FROM nodes WHERE started'],
    ['a trigger on it', 'logging', 'CREATE TRIGGER logging AFTER INSERT ON nodes BEGIN SELECT 1; END'],
    [
      'a trigger that names it',
      'logging',
      'CREATE TRIGGER logging AFTER INSERT ON links BEGIN SELECT 1 FROM nodes; END',
    ],
  ])('is refused with %s of others, which is named, and nothing is changed', async (_, name, sql) => {
    await using scratch = sqliteScratch()
    await filled(scratch)
    await scratch.query(sql)
    const before = await scratch.snapshot()
    const { code, stderr } = await migrate(tree, scratch.url, 'up', '--no-backup')
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringMatching(`${name}.*Drop them, migrate`) })
    expect(await scratch.snapshot()).toBe(before)
    await scratch.query(`DROP ${sql.split(' ')[1]} ${name}`)
    await migrated(tree, scratch.url, 'up', '--no-backup')
  })

  test('keeps indexes of others on it, and what does not name it', async () => {
    await using scratch = sqliteScratch()
    await filled(scratch)
    await scratch.query(`CREATE INDEX theirs ON nodes (updated_at);
      CREATE VIEW texts AS SELECT yaml_content FROM policies;
      CREATE TRIGGER logging AFTER INSERT ON links BEGIN DELETE FROM owners; END;`)
    const { others } = await statusOf(HERE, scratch.url)
    await migrated(tree, scratch.url, 'up')
    expect((await statusOf(tree, scratch.url)).others).toEqual(others)
  })
})

describe('a migration that would leave rows that refer to nothing', () => {
  test('is refused, and nothing of it happened; the one before it is applied', async () => {
    await using scratch = sqliteScratch()
    await filled(scratch)
    await migrated(tree, scratch.url, 'up', '--no-backup')
    const before = await scratch.snapshot()
    const { code, stderr } = await migrate(leavingOrphans, scratch.url, 'up', '--no-backup')
    expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringMatching(/foreign_key_check.*Nothing/) })
    expect(stderr).toContain(fileOf('sqlite', tagOf(leavingOrphans, SPOIL)))
    expect(await scratch.snapshot()).toBe(before)
    expect(await opened(leavingOrphans, scratch.url, 'apply')).toMatchObject([{ code: 'SCHEMA_MISMATCH' }])
    // Once the rows are put right, it goes on.
    await scratch.query("DELETE FROM links WHERE node = 'gw-1'; DELETE FROM owners WHERE node = 'gw-1'")
    await migrated(leavingOrphans, scratch.url, 'up', '--no-backup')
    expect(await scratch.ledger()).toEqual(ledgerOf(leavingOrphans, 'sqlite'))
  })

  test.each([
    ['rows that referred to nothing before', "INSERT INTO links VALUES (7, 'nobody'), (8, 'no one')"],
    ['a foreign key that cannot be checked', 'CREATE TABLE odd (a TEXT REFERENCES nodes (interfaces))'],
    ['a foreign key to no table', "CREATE TABLE lost (a TEXT REFERENCES absent (id)); INSERT INTO lost VALUES ('a')"],
  ])('%s stop nothing', async (_, sql) => {
    await using scratch = sqliteScratch()
    await filled(scratch)
    using(scratch.path, (raw) => {
      raw.pragma('foreign_keys = OFF')
      raw.exec(sql)
    })
    const before = await rowsOf(scratch)
    await migrated(tree, scratch.url, 'up')
    expect(await rowsOf(scratch)).toEqual(before)
  })

  test('and rows that referred to nothing before do not hide one more', async () => {
    await using scratch = sqliteScratch()
    await filled(scratch)
    using(scratch.path, (raw) => {
      raw.pragma('foreign_keys = OFF')
      raw.exec("INSERT INTO links VALUES (7, 'nobody'); DELETE FROM owners")
    })
    await migrated(tree, scratch.url, 'up')
    expect(await migrate(leavingOrphans, scratch.url, 'up')).toMatchObject({ code: 4 })
    expect(await scratch.query('SELECT count(*) AS n FROM nodes')).toEqual([{ n: 2 }])
  })
})
