/** Migrations of large tables while the application writes: no write waits for an index, or for a migration that waits. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openSingle } from '../../src/database/postgres/single.ts'
import { postgresTarget } from '../../src/database/postgres/url.ts'
import { openStorage } from '../../src/index.ts'
import { type Migration, migrationsOf } from '../../src/migrator/migrations.ts'
import { migratePostgres } from '../../src/migrator/postgres-migrator.ts'
import { runCommand } from '../cli/support/command.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { describePostgres } from './support/suite.ts'

/** Enough of them that an index is built beforehand. `MIGRATION_NODES=1000000 WRITES_PER_SECOND=500` is the long form. */
const NODES = 70_000
const { MIGRATION_NODES = String(NODES), WRITES_PER_SECOND = '100' } = process.env
const INDEX = 'CREATE INDEX "idx_nodes_routes" ON "nodes" USING btree ("routes_discovered");'

const migrationOf = (...statements: string[]): Migration => ({
  tag: '0099_more',
  file: 'migrations/postgresql/0099_more.sql',
  when: 1_990_000_000_000,
  hash: `${statements.join('').length}`.padStart(64, 'f'),
  statements,
})

async function filled(nodes = NODES): Promise<TestDatabase> {
  const database = await createDatabase()
  await (await openStorage(database.url)).close()
  await database.query(`ALTER TABLE nodes DISABLE TRIGGER USER`)
  await database.query(
    `INSERT INTO nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at)
     SELECT 'n' || i, '["eth0","eth1","eth2","eth3"]', '["batman-adv","olsr","babel"]', true, i, 1, 1 FROM generate_series(1, ${nodes}) AS i`,
  )
  await database.query(`ALTER TABLE nodes ENABLE TRIGGER USER`)
  return database
}

async function migrate(database: TestDatabase, migration: Migration): Promise<void> {
  const pool = openSingle(postgresTarget(database.url), { busyTimeoutMs: 120_000 })
  try {
    await migratePostgres(pool, {}, [...migrationsOf('postgresql'), migration])
  } finally {
    await pool.end()
  }
}

const indexes = (database: TestDatabase): Promise<{ name: string; valid: boolean }[]> =>
  database.query(
    `SELECT relname AS name, indisvalid AS valid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
     WHERE relname = 'idx_nodes_routes' OR relname LIKE 'meshstore_building%'`,
  )

/** Migrations of an application's own, in the folder that drizzle-kit would write. */
function ownMigrations(path: string) {
  const write = (...files: (readonly [string, string])[]): void => {
    mkdirSync(join(path, 'postgresql/meta'), { recursive: true })
    const entries = files.map(([tag], idx) => ({ idx, version: '7', when: 1_900_000_000_000 + idx, tag }))
    writeFileSync(join(path, 'postgresql/meta/_journal.json'), JSON.stringify({ entries }))
    for (const [tag, sql] of files) writeFileSync(join(path, 'postgresql', `${tag}.sql`), sql)
  }
  return { path, write }
}
const LINKS = ['0000_links', 'CREATE TABLE "links" ("id" text PRIMARY KEY, "cost" integer);'] as const
const BY_COST = ['0001_by_cost', 'CREATE INDEX "idx_links_cost" ON "links" USING btree ("cost");'] as const
const SOME_LINKS = "INSERT INTO links SELECT md5(i::text) || repeat('x', 90), i FROM generate_series(1, 70000) AS i"
const BUILDING = "SELECT 1 FROM pg_class WHERE relname LIKE 'meshstore_building%'"

describePostgres('a migration beside writes', () => {
  test('builds an index on a large table while others write, and finishes one that was left half-made', async () => {
    await using database = await filled()
    await using store = await openStorage(database.url)
    // CREATE INDEX CONCURRENTLY waits for a transaction that has written.
    const writer = await database.client()
    await writer.query('BEGIN')
    await writer.query("UPDATE nodes SET started = false WHERE node_id = 'n1'")
    const first = migrate(database, migrationOf(INDEX))
    const failed = first.then(
      () => false,
      () => true,
    )
    await eventually('the index is being built', async () => (await indexes(database)).length === 1)
    expect(await indexes(database)).toEqual([{ name: expect.stringMatching(/^meshstore_building_/), valid: false }])
    await store.nodes.create(node('beside'))
    // The process that builds it ends in the middle.
    await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%'")
    expect(await failed).toBe(true)
    expect(await indexes(database)).toMatchObject([{ valid: false }])

    const second = migrate(database, migrationOf(INDEX))
    await store.nodes.update('beside', { started: true })
    await writer.query('COMMIT')
    await second
    expect(await indexes(database)).toEqual([{ name: 'idx_nodes_routes', valid: true }])
  })

  test('makes an index of a column that comes with the same migration', async () => {
    await using database = await filled()
    const statements = [
      'ALTER TABLE "nodes" ADD COLUMN "note" text;',
      'CREATE INDEX "idx_nodes_routes" ON "nodes" USING btree ("note");',
    ]
    await migrate(database, migrationOf(...statements))
    expect(await indexes(database)).toEqual([{ name: 'idx_nodes_routes', valid: true }])
  })

  test('a unique index that the rows refuse leaves nothing', async () => {
    await using database = await filled()
    await database.query("UPDATE nodes SET routes_discovered = 7 WHERE node_id IN ('n1', 'n2')")
    const unique = migrationOf(INDEX.replace('INDEX', 'UNIQUE INDEX'))
    await expect(migrate(database, unique)).rejects.toThrow(/0099_more\.sql failed/)
    expect(await indexes(database)).toEqual([])
  })

  test('lets writes pass while it waits for a table that another transaction reads', async () => {
    await using database = await filled()
    await using store = await openStorage(database.url)
    const reader = await database.client()
    await reader.query('BEGIN')
    await reader.query('SELECT count(*) FROM nodes')
    let isDone = false
    const migrating = migrate(database, migrationOf('ALTER TABLE "nodes" ADD COLUMN "note" text;')).then(() => {
      isDone = true
    })
    await eventually('it waits for the table', async () => {
      const sql = `SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted AND relation = 'nodes'::regclass`
      return (await database.query(sql)).length > 0
    })
    for (let index = 0; index < 20; index++) await store.nodes.create(node(`beside-${index}`))
    expect(isDone).toBe(false)
    await reader.query('COMMIT')
    await migrating
  })

  test('lets writes pass while it drops and builds an index and adds a column', async () => {
    await using database = await filled(Number(MIGRATION_NODES))
    await using store = await openStorage(database.url)
    await store.nodes.create(node('beside'))
    const steps = [
      'DROP INDEX IF EXISTS "idx_nodes_started";',
      'CREATE INDEX "idx_nodes_started" ON "nodes" USING btree ("started","routes_discovered");',
      'ALTER TABLE "nodes" ADD COLUMN "note" text;',
    ]
    const begun = performance.now()
    let endedAfter: number | undefined
    const migrating = migrate(database, migrationOf(...steps)).then(() => {
      endedAfter = performance.now() - begun
    })
    const writes: Promise<number>[] = []
    const write = async (number: number): Promise<number> => {
      const since = performance.now()
      await store.nodes.update(`n${number}`, { started: number % 2 === 0 })
      return performance.now() - since
    }
    while (endedAfter === undefined) {
      const due = Math.ceil(((performance.now() - begun) / 1_000) * Number(WRITES_PER_SECOND))
      while (writes.length < due) writes.push(write(1 + (writes.length % NODES)))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const took = (await Promise.all(writes)).sort((a, b) => a - b)
    await migrating
    expect(took.length).toBeGreaterThan(0)
    console.log(
      `A migration of ${MIGRATION_NODES} nodes took ${Math.round(endedAfter)} ms. Of ${took.length} writes meanwhile (${WRITES_PER_SECOND}/s), the longest took ${Math.round(took.at(-1) ?? 0)} ms, the median ${Math.round(took[took.length >> 1] ?? 0)} ms.`,
    )
  })

  test('gives the entries of the change log their nonces without writing the log anew', async () => {
    await using database = await createDatabase()
    const all = migrationsOf('postgresql')
    const at = all.findIndex(({ tag }) => tag === '0004_change_log_nonces')
    const pool = openSingle(postgresTarget(database.url), { busyTimeoutMs: 120_000 })
    const fileOf = (): Promise<unknown[]> => database.query("SELECT pg_relation_filenode('meshstore_changes') AS file")
    const entries =
      "INSERT INTO meshstore_changes (table_name, operation) SELECT 'nodes', 'update' FROM generate_series"
    try {
      await migratePostgres(pool, {}, all.slice(0, at))
      await database.query(`${entries}(1, 100) AS i`)
      const before = await fileOf()
      await migratePostgres(pool, {}, all)
      expect(await fileOf()).toEqual(before)
    } finally {
      await pool.end()
    }
    await database.query(`${entries}(101, 200) AS i`)
    const nonces = 'SELECT count(DISTINCT nonce)::int AS different FROM meshstore_changes WHERE seq'
    expect(await database.query(`${nonces} <= 100`)).toEqual([{ different: 1 }])
    expect(await database.query(`${nonces} > 100`)).toEqual([{ different: 100 }])
  })

  test("builds the index of an application's own migration beforehand, too", async () => {
    await using database = await createDatabase()
    using folder = temporaryFolder()
    const { path: migrations, write } = ownMigrations(folder.file('drizzle'))
    write(LINKS)
    await (await openStorage({ url: database.url, migrations })).close()
    await database.query(SOME_LINKS)
    write(LINKS, BY_COST)
    const writer = await database.client()
    await writer.query('BEGIN')
    await writer.query('UPDATE links SET cost = 0 WHERE cost = 1')
    const opening = openStorage({ url: database.url, migrations })
    await eventually('the index is being built', async () => (await database.query(BUILDING)).length === 1)
    await database.query('UPDATE links SET cost = 0 WHERE cost = 2')
    await writer.query('COMMIT')
    await (await opening).close()
    expect(await database.query(BUILDING)).toEqual([])
    const found = "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 'idx_links_cost'::regclass"
    expect(await database.query(found)).toEqual([{ valid: true }])
  })

  test("treats an application's own migration as its own: it names the locks, finishes a half-made index, and lets writes pass", async () => {
    await using database = await createDatabase()
    using folder = temporaryFolder()
    const migrations = ownMigrations(folder.file('drizzle'))
    migrations.write(LINKS)
    await using store = await openStorage({ url: database.url, migrations: migrations.path })
    await database.query(SOME_LINKS)
    migrations.write(LINKS, BY_COST)
    const plan = await runCommand(['migrate', 'plan', '--url', database.url, '--migrations', migrations.path])
    expect(plan.stdout).toMatch(/links \(SHARE UPDATE EXCLUSIVE\)/)

    // The process that builds the index ends in the middle.
    const writer = await database.client()
    await writer.query('BEGIN')
    await writer.query('UPDATE links SET cost = 0 WHERE cost = 1')
    const first = openStorage({ url: database.url, migrations: migrations.path }).then(
      (opened) => opened.close().then(() => 'opened'),
      () => 'failed',
    )
    await eventually('the index is being built', async () => (await database.query(BUILDING)).length === 1)
    await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%'")
    expect(await first).toBe('failed')
    expect(await database.query(BUILDING)).toHaveLength(1)
    await writer.query('COMMIT')
    await (await openStorage({ url: database.url, migrations: migrations.path })).close()
    expect(await database.query(BUILDING)).toEqual([])

    // A long write holds the table: the migration waits behind it for a moment at a time.
    migrations.write(LINKS, BY_COST, ['0002_note', 'ALTER TABLE "links" ADD COLUMN "note" text;'])
    await writer.query('BEGIN')
    await writer.query('UPDATE links SET cost = 0 WHERE cost = 2')
    let isDone = false
    const last = openStorage({ url: database.url, migrations: migrations.path }).then((opened) => {
      isDone = true
      return opened.close()
    })
    await eventually('it waits for the table', async () => {
      const sql = `SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted AND relation = 'links'::regclass`
      return (await database.query(sql)).length > 0
    })
    for (let cost = 10; cost < 30; cost++) await database.query(`UPDATE links SET cost = 0 WHERE cost = ${cost}`)
    await store.nodes.create(node('beside'))
    expect(isDone).toBe(false)
    await writer.query('COMMIT')
    await last
    const columns = "SELECT 1 FROM information_schema.columns WHERE table_name = 'links' AND column_name = 'note'"
    expect(await database.query(columns)).toHaveLength(1)
  })
})
