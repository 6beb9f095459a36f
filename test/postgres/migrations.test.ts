/** Migrating: many at once, what the ledger then says, and what the tables then are. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { node } from '../support/samples.ts'
import { catalogOf } from './support/catalog.ts'
import { createDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { describePostgres } from './support/suite.ts'

const AT_ONCE = 8
const ROUNDS = 5

const root = new URL('../../', import.meta.url)
const journal = async (): Promise<{ when: number }[]> =>
  JSON.parse(await readFile(new URL('migrations/postgresql/meta/_journal.json', root), 'utf8')).entries

describePostgres('migrations on PostgreSQL', () => {
  test.for(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
    `${AT_ONCE} that open a new database at once all succeed, and migrate it once: round %i`,
    async (round) => {
      await using database = await createDatabase()
      const opening = Array.from({ length: AT_ONCE }, () => openStorage({ url: database.url, pool: { max: 2 } }))
      const stores = await Promise.all(opening)
      await Promise.all(stores.map((store, index) => store.nodes.create(node(`n-${round}-${index}`))))
      expect(await stores[0]?.nodes.count()).toBe(AT_ONCE)
      for (const store of stores) await store.close()

      const ledger = await database.query<{ created_at: string }>(
        'SELECT created_at FROM drizzle.__drizzle_migrations ORDER BY created_at',
      )
      expect(ledger.map(({ created_at }) => Number(created_at))).toEqual((await journal()).map(({ when }) => when))
    },
  )

  test('make exactly what drizzle/postgresql.sql makes', async () => {
    await using migrated = await createDatabase()
    await using exported = await createDatabase()
    await (await openStorage(migrated.url)).close()
    await exported.query(await readFile(new URL('drizzle/postgresql.sql', root), 'utf8'))
    const catalog = await catalogOf(migrated)
    expect(catalog).toEqual(await catalogOf(exported))
    expect(catalog).toContain('nodes column 1 node_id text COLLATE "C" NOT NULL')
    expect(catalog.length).toBeGreaterThan(30)
  })

  test("migrate: 'check' refuses a new database, and leaves it as it was", async () => {
    await using database = await createDatabase()
    await expectCode(openStorage({ url: database.url, migrate: 'check' }), 'SCHEMA_MISMATCH')
    await expectCode(openStorage({ url: database.url, readOnly: true }), 'SCHEMA_MISMATCH')
    expect(await catalogOf(database)).toEqual([])
    const schemas = await database.query("SELECT 1 FROM pg_namespace WHERE nspname = 'drizzle'")
    expect(schemas).toEqual([])
  })

  test('a migration that fails leaves nothing behind, and succeeds when what was in its way is gone', async () => {
    await using database = await createDatabase()
    await database.query('CREATE TABLE policies (something_else integer)')
    const before = await catalogOf(database)
    await expectCode(openStorage(database.url), 'SCHEMA_MISMATCH')
    expect(await catalogOf(database)).toEqual(before)
    await database.query('DROP TABLE policies')
    await using store = await openStorage(database.url)
    expect(await store.policies.count()).toBe(0)
  })

  test('wait for another process that migrates, and then find nothing to do', async () => {
    await using database = await createDatabase()
    const other = await database.client()
    await other.query('BEGIN')
    await other.query('SELECT pg_advisory_xact_lock(1298495336, 1937010546)')
    const opening = openStorage(database.url)
    await eventually('it waits for the lock', async () => {
      const sql = `SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock%' AND datname = current_database()
        AND pid <> pg_backend_pid()`
      return (await database.query(sql)).length === 1
    })
    await other.query('COMMIT')
    await using store = await opening
    expect(await store.nodes.count()).toBe(0)
  })
})
