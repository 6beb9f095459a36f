/** The dump of one server on another one, which has given the same transactions' ids to others, or has still to give them. */
import pg from 'pg'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { subscribed, take } from './support/reading.ts'

const LONG = { timeout: 600_000 }
const KEY = pathKey('a', 'b')
const TABLES = [
  'nodes',
  'path_cache',
  'path_cache_marks',
  'path_cache_stamps',
  'meshstore_state',
  'meshstore_changes',
  'meshstore_consumers',
]

/** Gives away so many ids of transactions. */
const grownOlder = (server: PostgresServer, ids: number): Promise<unknown> =>
  server.ask(`DO $$ BEGIN FOR i IN 1..${ids} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)

/** As `pg_dump --data-only | psql` does it: no trigger runs. */
async function restore(from: PostgresServer, to: PostgresServer): Promise<void> {
  const client = new pg.Client(to.url('postgres'))
  await client.connect()
  try {
    await client.query('SET session_replication_role = replica')
    for (const table of TABLES) {
      await client.query(`DELETE FROM ${table}`)
      const [rows] = await from.ask(`SELECT coalesce(json_agg(t), '[]')::text AS rows FROM ${table} AS t`)
      const sql = `INSERT INTO ${table} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::${table}, $1)`
      await client.query(sql, [rows?.rows])
    }
  } finally {
    await client.end()
  }
}

describePostgres('a dump that is restored on another server', () => {
  test.for([
    ['younger', 20_000, 0, undefined],
    ['younger, and may not be asked for its name', 20_000, 0, "DELETE FROM meshstore_state WHERE name = 'server'"],
    // The tests' servers were made as one: the dump says another name.
    ['older', 0, 20_000, "UPDATE meshstore_state SET value = 'another' WHERE name = 'server'"],
  ] as const)('one that is %s: tokens are refused, and cached paths are computed once more', LONG, async (variant) => {
    const [, idsBefore, idsThere, andThen] = variant
    const servers = await Promise.all([startPostgres(), startPostgres()])
    const [from, to] = servers
    try {
      await grownOlder(from, idsBefore)
      await grownOlder(to, idsThere)
      let token: string | undefined
      {
        await using store = await openStorage({ url: from.url('postgres'), pathCache: { sweepSeconds: 3_600 } })
        const changes = await subscribed(store)
        await store.nodes.createMany([node('a'), node('b')])
        token = (await take(changes, 2)).at(-1)?.token
        await store.nodes.save(node('a', { started: true }))
        await store.pathCache.getOrCompute(KEY, () => bundle('a', 'b'), {
          ttlSeconds: 3_600,
        })
      }
      await (await openStorage({ url: to.url('postgres') })).close()
      await restore(from, to)
      if (andThen !== undefined) await to.ask(andThen)
      await using store = await openStorage({ url: to.url('postgres'), pathCache: { sweepSeconds: 0.1 } })
      await expectCode(store.changes({ after: token }).ready(), 'CHANGES_MISSED')
      let computed = 0
      const resolve = async (): Promise<string> => {
        const compute = () => {
          computed++
          return bundle('a', 'b')
        }
        return (await store.pathCache.resolve(KEY, compute, { ttlSeconds: 3_600 })).origin
      }
      expect([await resolve(), await resolve(), await resolve()]).toEqual(['computed', 'hit', 'hit'])
      await store.nodes.save(node('b', { started: true }))
      expect([await resolve(), await resolve()]).toEqual(['computed', 'hit'])
      expect(computed).toBe(2)
      const changes = await subscribed(store)
      await store.nodes.create(node('c'))
      expect((await take(changes, 1)).map(({ key }) => key)).toEqual(['c'])
    } finally {
      for (const server of servers) await server.stop()
    }
  })
})
