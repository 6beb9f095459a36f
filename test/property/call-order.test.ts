/**
 * Calls take effect in the order in which they were made, awaited or not: singly, in bulk, in a transaction. A call that is refused
 * changes nothing and fails no other call. One model for both dialects.
 */
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, test } from 'vitest'
import { describePostgres } from '../postgres/support/suite.ts'
import { type Backend, postgres } from '../support/backends.ts'
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

type Opened = Judged & { readonly url: string }

const opened = new Map<Backend, Promise<readonly Opened[]>>()
const closing = new AsyncDisposableStack()
afterAll(() => closing.disposeAsync())

/** One store for each number of connections: each has its own ways to wait. Opened once: they change their databases' tables. */
function storesOf(backend: Backend): Promise<readonly Opened[]> {
  const known = opened.get(backend) ?? open(backend)
  opened.set(backend, known)
  return known
}

const open = (backend: Backend): Promise<readonly Opened[]> =>
  Promise.all(
    (isOfSqlite(backend) ? [1] : [1, 2, 8]).map(async (max) => {
      const { store, other, url } = closing.use(await backend.open({ pool: { max }, busyTimeoutMs: 1_000 }))
      await other.execute(isOfSqlite(backend) ? ON_SQLITE : ON_POSTGRES)
      return { store, other, url, canBreak: !isOfSqlite(backend) }
    }),
  )

const length = { minLength: 2, maxLength: 25, size: 'max' } as const
let programs = 0

eachBackend('calls that are not awaited', (backend) => {
  test('take effect in their order, and a refused one changes nothing', async () => {
    const stores = await storesOf(backend)
    await assertProperty(
      `order of calls, ${backend.name}`,
      fc.asyncProperty(fc.array(operation, length), fc.nat(), async (all, pick) => {
        const on = stores[pick % stores.length] as Judged
        await judge(on, `p${programs++}`, isOfSqlite(backend) ? all.map(withoutDeferred) : all)
      }),
      { runs: bound('CALL_ORDERS', { brief: 30, short: 500, long: 100_000 }) },
    )
  })
})

describePostgres('calls that are not awaited, beside a row that another session keeps locked', () => {
  test('take effect in their order, too', async () => {
    const stores = await storesOf(postgres)
    await assertProperty(
      `order of calls beside a lock, ${postgres.name}`,
      fc.asyncProperty(fc.array(operationBesideLock, length), fc.nat(), async (all, pick) => {
        const { url, ...on } = stores[pick % stores.length] as Opened
        await judge({ ...on, lock: (nodeId) => lockOn(url, nodeId) }, `p${programs++}`, all)
      }),
      { runs: bound('CALL_ORDERS_LOCKED', { brief: 3, short: 50, long: 5_000 }) },
    )
  })
})

const withoutDeferred = (each: Operation): Operation =>
  JSON.parse(JSON.stringify(each).replaceAll('"defer"', '"later"')) as Operation
