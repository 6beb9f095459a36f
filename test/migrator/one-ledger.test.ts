/** A ledger that others write too: an application's own migrations in it, and drizzle-kit 1.0, which keeps less of the time. */
import { describe, expect, test } from 'vitest'
import { copyDatabase, openStorage } from '../../src/index.ts'
import { folderOf, type Migration, migrationsOf } from '../../src/migrator/migrations.ts'
import type { Dialect } from '../schema/tree-copy.ts'
import * as trees from '../schema/tree-copy.ts'
import { expectCode } from '../support/expectations.ts'
import { TAGS } from '../support/tags.ts'
import { drizzleKitMigrate, HERE, migrate, migrated, opened, statusOf } from './support/commands.ts'
import { eachDialect, type Scratch } from './support/databases.ts'
import { grown } from './support/trees.ts'

const nameOf = (dialect: Dialect): string =>
  dialect === 'sqlite' ? '__drizzle_migrations' : 'drizzle.__drizzle_migrations'

/** An application's migration, as its own drizzle-kit records it. Ours are dated before 2027. */
async function theirs(scratch: Scratch, name: string, when: number): Promise<void> {
  await scratch.query(
    scratch.dialect === 'sqlite'
      ? 'CREATE TABLE IF NOT EXISTS __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)'
      : `CREATE SCHEMA IF NOT EXISTS drizzle; CREATE TABLE IF NOT EXISTS drizzle.__drizzle_migrations
         (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)`,
  )
  await scratch.query(`CREATE TABLE ${name} (id integer PRIMARY KEY);
    INSERT INTO ${nameOf(scratch.dialect)} (hash, created_at) VALUES ('hash-of-${name}', ${when})`)
}

const EARLY = Date.UTC(2020, 0)
const LATE = Date.UTC(2030, 0)

/** Every command and every open accepts a database with both in one ledger. */
async function expectUsable(scratch: Scratch, make: () => Promise<Scratch>): Promise<void> {
  expect(await opened(HERE, scratch.url, 'apply', 'check')).toEqual([
    { nodes: ['apply'] },
    { nodes: ['apply', 'check'] },
  ])
  expect(await statusOf(HERE, scratch.url)).toMatchObject({
    code: 0,
    state: 'current',
    applied: TAGS,
    newer: [],
    foreign: [expect.stringContaining('hash-of-'), expect.stringContaining('hash-of-')],
    drift: [],
  })
  expect((await migrate(HERE, scratch.url, 'status')).stdout).toMatch(/__app_migrations/)
  await scratch.query('DROP INDEX idx_nodes_started')
  expect((await statusOf(HERE, scratch.url)).drift).toEqual([expect.objectContaining({ table: 'nodes' })])
  await scratch.query('CREATE INDEX idx_nodes_started ON nodes (started, node_id)')

  await using target = await make()
  await copyDatabase(scratch.url, target.url, { ignoreOtherTables: true })
  await using store = await openStorage(target.url)
  expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['apply', 'check'])
}

eachDialect("an application's migrations in our ledger", (dialect, make) => {
  test('before ours: ours are pending, whatever the times say, and are applied', async () => {
    await using scratch = await make()
    await theirs(scratch, 'early', EARLY)
    await theirs(scratch, 'late', LATE)
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ state: 'new', pending: TAGS, foreign: { length: 2 } })
    const { message } = await expectCode(openStorage({ url: scratch.url, migrate: 'check' }), 'SCHEMA_MISMATCH')
    expect(message).toMatch(/Migrations are pending: 0000_create_tables.*meshstore migrate up.*'__app_migrations'/)
    // drizzle-kit goes by the last row's time. It says that all is well.
    await drizzleKitMigrate(HERE, scratch.url)
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ state: 'new', pending: TAGS })
    await migrated(HERE, scratch.url, 'up', '--no-backup')
    await expectUsable(scratch, make)
  })

  test('after ours: they are no newer version', async () => {
    await using scratch = await make()
    await migrated(HERE, scratch.url, 'up')
    await theirs(scratch, 'early', EARLY)
    await theirs(scratch, 'late', LATE)
    await expectUsable(scratch, make)
  })

  test('between ours: what is pending comes after them', async () => {
    await using scratch = await make()
    await migrated(HERE, scratch.url, 'up')
    await theirs(scratch, 'early', EARLY)
    await theirs(scratch, 'late', LATE)
    const [last] = migrationsOf(dialect).slice(-1)
    await scratch.query(`DELETE FROM ${nameOf(dialect)} WHERE hash = '${last?.hash}'`)
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ state: 'pending', pending: [last?.tag] })
  })
})

/** As drizzle-kit 1.0 makes the ledger, or leaves one of 0.31's. */
async function asKit1(scratch: Scratch, migrations: readonly Migration[]): Promise<void> {
  const ledger = nameOf(scratch.dialect)
  const time = scratch.dialect === 'sqlite' ? 'TEXT' : 'timestamp with time zone DEFAULT now()'
  await scratch.query(`ALTER TABLE ${ledger} ADD COLUMN name text; ALTER TABLE ${ledger} ADD COLUMN applied_at ${time}`)
  for (const migration of migrations)
    await scratch.query(
      `UPDATE ${ledger} SET name = '${folderOf(migration)}', created_at = ${Math.floor(migration.when / 1_000) * 1_000}
       WHERE hash = '${migration.hash}'`,
    )
  // Only what the library applies notes it.
  await scratch.query("DELETE FROM meshstore_state WHERE name LIKE 'migration:%'")
}

eachDialect('a ledger that drizzle-kit 1.0 wrote', (dialect, make) => {
  const migrations = migrationsOf(dialect)

  test('is known by its hashes, though the milliseconds are gone', async () => {
    await using scratch = await make()
    await migrated(HERE, scratch.url, 'up')
    await asKit1(scratch, migrations)
    expect(await statusOf(HERE, scratch.url)).toMatchObject({
      code: 0,
      state: 'current',
      applied: TAGS,
      newer: [],
      foreign: [],
      drift: [],
    })
    expect(await opened(HERE, scratch.url, 'check')).toEqual([{ nodes: ['check'] }])
    await scratch.query(`UPDATE ${nameOf(dialect)} SET hash = 'another' WHERE hash = '${migrations[0]?.hash}'`)
    await expectCode(openStorage(scratch.url), 'MIGRATION_EDITED')
  })

  test('gets the names of what the library applies: drizzle-kit 1.0 would apply it again', async () => {
    await using scratch = await make()
    using later = await grown({ name: 'more' })
    await migrated(HERE, scratch.url, 'up')
    await asKit1(scratch, migrations)
    await migrated(later, scratch.url, 'up', '--no-backup')
    const names = await scratch.query<{ name: string }>(`SELECT name FROM ${nameOf(dialect)} ORDER BY name`)
    expect(names.map(({ name }) => name).sort()).toEqual(trees.migrationsOf(later)[dialect].map(folderOf).sort())
  })
})

describe('folders of drizzle-kit 1.0', () => {
  test('are named by the second and the name', () => {
    expect(folderOf({ tag: '0007_add_note', when: Date.UTC(2026, 0, 2, 3, 4, 5, 678) })).toBe('20260102030405_add_note')
  })
})
