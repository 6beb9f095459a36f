/** Many transactions at once on few rows: they are in each other's way, and all of them are to come to their end. */
import { expect, test } from 'vitest'
import { MOST_ROWS } from '../../src/database/postgres/touched.ts'
import { openStorage } from '../../src/index.ts'
import { bundle, manyNodes, node, pathKey } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { createDatabase } from './support/database.ts'
import { openWithQueue } from './support/opened.ts'
import { describePostgres } from './support/suite.ts'

const TRANSACTIONS = 1_000
const ROWS = 10
const nodeId = (n: number): string => `n${n % ROWS}`

describePostgres('a thousand transactions in flight, each on two of ten rows', () => {
  test('are all committed: none waits behind the others for its next attempt', async () => {
    await using database = await createDatabase()
    await using store = await openStorage(database.url)
    await store.nodes.createMany(Array.from({ length: ROWS }, (_, n) => node(nodeId(n))))
    const transactions = Array.from({ length: TRANSACTIONS }, (_, n) =>
      store.transaction(
        async (tx) => {
          await tx.nodes.recordRoutes(nodeId(n), 1)
          await tx.nodes.recordRoutes(nodeId(n * 7 + 3), 1)
        },
        { timeoutMs: 60_000 },
      ),
    )
    const outcomes = await Promise.allSettled(transactions)
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : []))
    expect(errors).toEqual([])
    const counts = (await store.nodes.list()).map(({ routesDiscovered }) => routesDiscovered)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2 * TRANSACTIONS)
  })
})

describePostgres('a transaction that names more rows than the order of calls remembers', () => {
  test('begins again when it meets an earlier call of the table, and ends', async () => {
    await using database = await createDatabase()
    const { store, queue } = await openWithQueue({ url: database.url, busyTimeoutMs: 60_000 })
    await store.nodes.create(node('held'))
    const locker = await database.client()
    await locker.query('BEGIN')
    await locker.query("SELECT FROM nodes WHERE node_id = 'held' FOR UPDATE")
    const held = store.nodes.update('held', { started: true })
    using retries = record('retry', 'asyncEnd')
    let runs = 0
    const transaction = store.transaction(
      async (tx) => {
        runs++
        await tx.nodes.saveMany(manyNodes(MOST_ROWS))
        // Only now it has the table's place, and must wait for the earlier call.
        await tx.nodes.save(node('last')).finally(() => locker.query('COMMIT'))
      },
      { timeoutMs: 60_000 },
    )
    await Promise.all([held, transaction])
    expect(runs).toBe(2)
    const reasons = (of: string): unknown[] =>
      retries.events.flatMap(({ event, reason }) => (event === of ? reason : []))
    expect(reasons('transaction')).toEqual(['overtaken'])
    expect(new Set(reasons('commit')), 'the earlier call waited for the lock').toEqual(new Set(['lock_not_available']))
    expect(await store.nodes.count()).toBe(MOST_ROWS + 2)
    expect(queue.size).toBe(0)
    await store.close()
  })
})

describePostgres('a path that waits for another program', () => {
  test('is stored before the change of its topology that was made after it', async () => {
    await using database = await createDatabase()
    await using store = await openStorage({ url: database.url, busyTimeoutMs: 60_000 })
    const key = pathKey('a', 'c')
    await store.nodes.create(node('relay'))
    await store.pathCache.set(key, bundle('a', 'c'))
    const locker = await database.client()
    await locker.query('BEGIN')
    await locker.query('UPDATE path_cache SET created_at = created_at')
    const stored = store.pathCache.set(key, bundle('a', 'c', 15))
    const others = Array.from({ length: 20 }, (_, n) =>
      store.pathCache.set(pathKey('b', `d-${n}`), bundle('b', `d-${n}`)),
    )
    const changed = store.nodes.update('relay', { interfaces: ['changed'] })
    // The path has left the lane.
    await Promise.all(others)
    await locker.query('COMMIT')
    await Promise.all([stored, changed])
    expect(await store.pathCache.get(key)).toBeUndefined()
  })
})
