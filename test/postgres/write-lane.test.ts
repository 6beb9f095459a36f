/** Which batches the write lane runs at the same time, and whom a large transaction waits for. Neither asks a server. */
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Batch } from '../../src/database/postgres/batch.ts'
import { postgresDialect } from '../../src/database/postgres/dialect.ts'
import { KeyedQueue, type Place } from '../../src/database/postgres/keyed-queue.ts'
import { MOST_ROWS, touchedByCall } from '../../src/database/postgres/touched.ts'
import { type BatchOutcome, WriteLane } from '../../src/database/postgres/write-lane.ts'
import type { Call } from '../../src/database/session.ts'
import { StatementCompiler } from '../../src/database/statement.ts'
import { upsert as setPath } from '../../src/path-cache/entry-statements.ts'
import { remove, upsert } from '../../src/repositories/node-statements.ts'
import { bundle } from '../support/samples.ts'

const NOW = new Date(0)
const save = (nodeId: string) => ({
  statement: upsert([]),
  parameters: {
    nodeId,
    interfaces: [],
    protocols: [],
    started: false,
    routesDiscovered: 0,
    createdAt: NOW,
    updatedAt: NOW,
  },
})
const drop = (nodeId: string) => ({ statement: remove, parameters: { nodeId } })
const set = (cacheKey: string) => ({
  statement: setPath,
  parameters: {
    cacheKey,
    source: 'a',
    destination: 'b',
    k: 1,
    bundle: bundle('a', 'b'),
    createdAt: NOW,
    expiresAt: NOW,
  },
})

/** A lane whose batches end when they are told to. */
function laneOf() {
  const queue = new KeyedQueue()
  const compiler = new StatementCompiler(postgresDialect)
  const running: { readonly rows: readonly string[]; readonly end: () => void }[] = []
  const commit = (batch: Batch): Promise<BatchOutcome> =>
    new Promise((resolve) => {
      const end = (): void => {
        running.splice(running.indexOf(entry), 1)
        resolve({ results: new Map(batch.items.map((item) => [item, { rows: [], changes: 1 }])), unread: [] })
      }
      const entry = { rows: batch.items.flatMap(({ place }) => place.rows.map(({ name }) => name)), end }
      running.push(entry)
    })
  const lane = new WriteLane(queue, compiler, { commit, busyTimeoutMs: 1_000, statementMs: 1_000 })
  const write = <P, R>(call: Call<P, R>): unknown => lane.write(call, touchedByCall(compiler, call))
  return {
    queue,
    write,
    /** The rows of the batches that run now. */
    batches: async () => {
      await setImmediate()
      await setImmediate()
      return running.map(({ rows }) => rows.join())
    },
    endFirst: () => running[0]?.end(),
  }
}

test('inserts run beside inserts, at most four batches of them', async () => {
  const { write, batches, endFirst, queue } = laneOf()
  for (const id of ['a', 'b', 'c', 'd', 'e']) {
    write(save(id))
    await batches()
  }
  expect(await batches()).toEqual(['nodes a', 'nodes b', 'nodes c', 'nodes d'])
  endFirst()
  expect(await batches()).toEqual(['nodes b', 'nodes c', 'nodes d', 'nodes e'])
  for (let n = 0; n < 4; n++) endFirst()
  expect(await batches()).toEqual([])
  expect(queue.size).toBe(0)
})

test('a batch has at most 250 inserts, and at most 500 calls if there are others among them', async () => {
  const sizes = async ({ batches }: ReturnType<typeof laneOf>): Promise<number[]> =>
    (await batches()).map((rows) => rows.split(',').length)
  const inserts = laneOf()
  for (let n = 0; n < 600; n++) inserts.write(save(`s${n}`))
  expect(await sizes(inserts)).toEqual([250, 250, 100])
  const mixed = laneOf()
  mixed.write(drop('d'))
  for (let n = 0; n < 600; n++) mixed.write(save(`s${n}`))
  expect(await sizes(mixed)).toEqual([500])
})

test('a row is in one batch at a time, and others pass it', async () => {
  const { write, batches, endFirst } = laneOf()
  write(save('a'))
  await batches()
  for (const id of ['a', 'b', 'a']) write(save(id))
  expect(await batches()).toEqual(['nodes a', 'nodes b'])
  endFirst()
  expect(await batches()).toEqual(['nodes b', 'nodes a,nodes a'])
})

test('what searches an index runs alone, and inserts that come later do not keep it waiting', async () => {
  const { write, batches, endFirst } = laneOf()
  write(save('a'))
  await batches()
  write(drop('b'))
  write(save('c'))
  expect(await batches()).toEqual(['nodes a'])
  endFirst()
  expect(await batches()).toEqual(['nodes b,nodes c'])
  write(save('d'))
  expect(await batches()).toEqual(['nodes b,nodes c'])
})

test('a change of the topology waits for paths that another batch stores; paths do not wait for it', async () => {
  const { write, batches, endFirst } = laneOf()
  write(set('path'))
  await batches()
  write(save('a'))
  expect(await batches()).toEqual(['pathCache path'])
  endFirst()
  expect(await batches()).toEqual(['nodes a'])
  write(set('path'))
  expect(await batches()).toEqual(['nodes a', 'pathCache path'])
})

const rowsTo = (count: number, from = 0): string[] => Array.from({ length: count }, (_, at) => `nodes n-${from + at}`)
const nothing = { ready: (): void => {} }
const isWaiting = ({ blockers }: Place): boolean => blockers > 0

test('a transaction that names very many rows has one place in their table', async () => {
  const queue = new KeyedQueue()
  const earlier = queue.enter('call', { rows: rowsTo(1, MOST_ROWS), tables: [] }, nothing)
  const transaction = queue.enterTransaction()
  expect(queue.name(transaction, { rows: rowsTo(MOST_ROWS), tables: [] }, false)).toBe(undefined)
  const before = queue.size
  const unnamed = queue.enter('lane', { rows: rowsTo(1, MOST_ROWS + 1), tables: [] }, nothing)
  expect(isWaiting(unnamed)).toBe(false)

  // With one row more, the transaction waits for every earlier call of the table, and every later call waits for it.
  let mayRun = false
  const waiting = queue.name(transaction, { rows: rowsTo(1, 2 * MOST_ROWS), tables: [] }, false)
  void waiting?.then(() => {
    mayRun = true
  })
  expect(queue.size).toBeLessThanOrEqual(before + 3)
  const later = queue.enter('lane', { rows: rowsTo(1, 3 * MOST_ROWS), tables: [] }, nothing)
  const elsewhere = queue.enter('lane', { rows: ['policies p'], tables: [] }, nothing)
  expect([unnamed, later, elsewhere].map(isWaiting)).toEqual([true, true, false])
  // More rows add nothing.
  const named = queue.size
  expect(queue.name(transaction, { rows: rowsTo(MOST_ROWS, 4 * MOST_ROWS), tables: [] }, false)).toBe(undefined)
  expect(queue.size).toBe(named)

  await setImmediate()
  expect(mayRun).toBe(false)
  queue.finish(earlier)
  await setImmediate()
  expect(mayRun).toBe(true)
  queue.finish(transaction)
  expect([unnamed, later].map(isWaiting)).toEqual([false, false])
  for (const place of [unnamed, later, elsewhere]) queue.finish(place)
  expect(queue.size).toBe(0)
})
