/**
 * Calls take effect in the order in which they were made, awaited or not: singly, in bulk, in a transaction. A call that is refused
 * changes nothing and fails no other call. One model for both dialects.
 */
import fc from 'fast-check'
import pg from 'pg'
import { beforeAll, test } from 'vitest'
import type { Backend } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { assertProperty } from '../support/properties.ts'
import { eachBackend } from '../support/settings.ts'
import { type Operation, operation, operationBesideLock } from './calls.ts'
import { type Judged, judge, ON_POSTGRES } from './judge.ts'

const ON_SQLITE = ['INSERT', 'UPDATE']
  .map(
    (event) => `CREATE TRIGGER refusing_${event} BEFORE ${event} ON nodes
      WHEN NEW.interfaces LIKE '%refuse%' OR NEW.interfaces LIKE '%forbid%'
      BEGIN SELECT RAISE(ABORT, 'refused'); END;`,
  )
  .join('\n')

/** SQLite has no constraint of ours that is checked at the commit. */
const isOfSqlite = ({ looseTypes }: Backend): boolean => looseTypes

/** A session that holds the row's lock. */
async function lockOn(url: string, nodeId: string): Promise<() => Promise<void>> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query('BEGIN')
  await client.query('SELECT FROM nodes WHERE node_id = $1 FOR UPDATE', [nodeId])
  return () => client.end()
}

eachBackend('calls that are not awaited', (backend) => {
  const stores: (Judged & { readonly url: string })[] = []
  beforeAll(async () => {
    // Each number of connections has its own ways to wait.
    const opened = await Promise.all(
      (isOfSqlite(backend) ? [1] : [1, 2, 8]).map((max) => backend.open({ pool: { max }, busyTimeoutMs: 1_000 })),
    )
    for (const { store, other, url } of opened) {
      await other.execute(isOfSqlite(backend) ? ON_SQLITE : ON_POSTGRES)
      stores.push({ store, other, url, canBreak: !isOfSqlite(backend) })
    }
    return async () => {
      for (const each of opened) await each[Symbol.asyncDispose]()
    }
  })

  let programs = 0
  const size = { minLength: 2, maxLength: 25, size: 'max' } as const
  test('take effect in their order, and a refused one changes nothing', () =>
    assertProperty(
      `order of calls, ${backend.name}`,
      fc.asyncProperty(fc.array(operation, size), fc.nat(), async (all, pick) => {
        const on = stores[pick % stores.length] as Judged
        await judge(on, `p${programs++}`, isOfSqlite(backend) ? all.map(withoutDeferred) : all)
      }),
      { runs: bound('CALL_ORDERS', { brief: 60, short: 1_000, long: 100_000 }) },
    ))

  if (isOfSqlite(backend)) return
  test('so do they beside a row that another session keeps locked', () =>
    assertProperty(
      `order of calls beside a lock, ${backend.name}`,
      fc.asyncProperty(fc.array(operationBesideLock, size), fc.nat(), async (all, pick) => {
        const { url, ...on } = stores[pick % stores.length] as (typeof stores)[number]
        await judge({ ...on, lock: (nodeId) => lockOn(url, nodeId) }, `p${programs++}`, all)
      }),
      { runs: bound('CALL_ORDERS_LOCKED', { brief: 6, short: 100, long: 5_000 }) },
    ))
})

const withoutDeferred = (each: Operation): Operation =>
  JSON.parse(JSON.stringify(each).replaceAll('"defer"', '"later"')) as Operation
