/** Calls that are committed together are refused one by one: each error names its row and what refused it. */
import { beforeAll, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { configOf } from '../../src/open/config.ts'
import { openTarget } from '../../src/open/open.ts'
import { Store } from '../../src/store.ts'
import { node } from '../support/samples.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

describePostgres('a refused call among others of the same moment', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase()
    await (await openStorage(database.url)).close()
    await database.query(`
      CREATE FUNCTION own_code() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'U0001'; END $$`)
    await database.query(`
      CREATE TRIGGER own_code BEFORE INSERT OR UPDATE ON nodes
      FOR EACH ROW WHEN (NEW.node_id = 'own-code') EXECUTE FUNCTION own_code()`)
    await database.query(`ALTER TABLE nodes ADD CONSTRAINT no_checked CHECK (node_id <> 'checked')`)
    await database.query('CREATE TABLE allowed (name text PRIMARY KEY)')
    await database.query(`ALTER TABLE nodes ADD COLUMN later text GENERATED ALWAYS AS (nullif(node_id = 'late', false)::text) STORED
      REFERENCES allowed DEFERRABLE INITIALLY DEFERRED`)
    return () => database[Symbol.asyncDispose]()
  })

  test.for([
    ['own-code', 'CONFLICT', 'trigger function own_code'],
    ['checked', 'CORRUPT', 'constraint no_checked'],
    ['late', 'CONFLICT', 'constraint nodes_later_fkey'],
  ] as const)('%s is refused alone, by name', async ([id, code, by]) => {
    const database_ = await openTarget(configOf(database.url).target, configOf(database.url))
    const store: Meshstore = new Store(database_, configOf(database.url))
    const ids = Array.from({ length: 60 }, (_, at) => (at === 31 ? id : `${id}-${at}`))
    const outcomes = await Promise.allSettled(ids.map((each) => store.nodes.save(node(each))))
    const refused = outcomes.flatMap((each, at) =>
      each.status === 'rejected' ? [[ids[at], each.reason] as const] : [],
    )
    expect(refused.map(([each]) => each)).toEqual([id])
    const error = refused[0]?.[1]
    if (!(error instanceof StorageError)) throw error
    expect(error.code).toBe(code)
    expect(error.retryable).toBe(false)
    expect(error.message).toContain(`nodes "${id}"`)
    expect(error.message).toContain(by)
    expect(await store.nodes.get(id)).toBe(undefined)
    expect((await store.nodes.getMany(ids)).length).toBe(59)
    // No call has left anything in the order of calls.
    if (!('queue' in database_)) throw new TypeError('Not a PostgreSQL database.')
    expect(database_.queue).toMatchObject({ size: 0 })
    await store.close()
  })

  test('a row that cannot be decoded refuses its own update, and nothing of it is stored', async () => {
    await using store = await openStorage(database.url)
    const ids = Array.from({ length: 50 }, (_, at) => `broken-${at}`)
    await store.nodes.createMany(ids.map((id) => node(id)))
    await database.query('ALTER TABLE nodes DROP CONSTRAINT nodes_created_time')
    await database.query(`UPDATE nodes SET created_at = 'NaN' WHERE node_id = 'broken-7'`)
    const outcomes = await Promise.allSettled(ids.map((id) => store.nodes.update(id, { started: true })))
    expect(outcomes.flatMap(({ status }, at) => (status === 'rejected' ? [ids[at]] : []))).toEqual(['broken-7'])
    const rows = await database.query<{ node_id: string }>(
      `SELECT node_id FROM nodes WHERE started AND node_id LIKE 'broken-%'`,
    )
    expect(rows.length).toBe(49)
    expect(rows.some(({ node_id }) => node_id === 'broken-7')).toBe(false)
  })
})
