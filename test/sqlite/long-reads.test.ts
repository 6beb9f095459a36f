/**
 * SQLite reads within the call. A page that is long, or that passes many rows, is therefore read in pieces, between which
 * the event loop runs; all of them see one moment.
 */
import { tracingChannel } from 'node:diagnostics_channel'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Meshstore, openStorage, type Repositories, type StatementEvent } from '../../src/index.ts'
import { all } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { record } from '../support/tracing.ts'

const MANY = 20_000
/** The most rows that one statement may return, and pass. */
const MOST_RETURNED = 2_000
const MOST_PASSED = 500
/** The index of the only node that speaks it. */
const RARE_AT = 15_000
const RARE = { protocol: 'rare' } as const

const idOf = (index: number): string => `n${String(index).padStart(6, '0')}`
const folder = temporaryFolder()
const file = folder.file('mesh.db')
let store: Meshstore

beforeAll(async () => {
  store = await openStorage(file)
  await store.nodes.createMany(
    Array.from({ length: MANY }, (_, index) =>
      node(idOf(index), { started: index % 2 === 0, ...(index === RARE_AT ? { protocols: ['rare'] } : {}) }),
    ),
  )
  await store.pathCache.setMany(
    Array.from({ length: 5_000 }, (_, index) => ({
      key: pathKey(idOf(index), index === 4_000 ? 'rare' : 'often'),
      bundle: bundle(idOf(index), index === 4_000 ? 'rare' : 'often'),
    })),
  )
})
afterAll(async () => {
  await store.close()
  folder[Symbol.dispose]()
})

/** The statements that read rows, with how many each returned. */
async function statementsOf(work: () => Promise<unknown>): Promise<StatementEvent[]> {
  using statements = record('statement', 'end')
  await work()
  return statements.events.filter(({ name }) => /\.(list|count):/.test(name))
}

describe.each(['the store', 'a transaction', 'a read-only transaction'])('on %s', (where) => {
  const on = <T>(work: (repositories: Repositories) => Promise<T>): Promise<T> =>
    where === 'the store' ? work(store) : store.transaction(work, { readOnly: where === 'a read-only transaction' })

  test.each<readonly [string, passed: number, (repositories: Repositories) => Promise<unknown>, unknown]>([
    ['list() that passes all', MANY, async ({ nodes }) => (await nodes.list(RARE)).length, 1],
    [
      'list() of what an index finds, and no index',
      MANY / 2,
      async (on) => (await on.nodes.list({ ...RARE, started: true })).length,
      1,
    ],
    ['list() behind a node', 5_000, async (on) => (await on.nodes.list({ ...RARE, after: idOf(RARE_AT) })).length, 0],
    ['iterate() that passes all', MANY, async ({ nodes }) => (await all(nodes.iterate(RARE))).length, 1],
    ['count() that passes all', MANY, ({ nodes }) => nodes.count(RARE), 1],
    ['list() of 10,000', 10_000, async ({ nodes }) => (await nodes.list({ limit: 10_000 })).length, 10_000],
    [
      'list() of 10,000 that match',
      10_000,
      async (on) => (await on.nodes.list({ protocol: 'batman-adv', limit: 10_000 })).length,
      10_000,
    ],
    [
      'list() of paths that passes all',
      5_000,
      async (on) => (await on.pathCache.list({ destination: 'rare' })).length,
      1,
    ],
    [
      'iterate() of paths',
      5_000,
      async ({ pathCache }) => (await all(pathCache.iterate({ destination: 'rare' }))).length,
      1,
    ],
  ])('%s', async (_, passed, work, expected) => {
    let found: unknown
    const statements = await statementsOf(async () => {
      found = await on(work)
    })
    expect(found).toBe(expected)
    expect(Math.max(...statements.map(({ rows = 0 }) => rows))).toBeLessThanOrEqual(MOST_RETURNED)
    // Each passes a part of them.
    expect(statements.length).toBeGreaterThanOrEqual(passed / MOST_RETURNED)
    if (expected !== 10_000) expect(statements.length).toBeGreaterThanOrEqual(passed / MOST_PASSED)
  })
})

test('a page of several pieces is of one moment', async () => {
  const other = new Sqlite(file)
  let pieces = 0
  const onStatement = (event: unknown): void => {
    // The node goes from where nothing has been read to where all has been.
    if ((event as StatementEvent).name.startsWith('nodes.list') && ++pieces === 10)
      other.exec(`BEGIN; UPDATE nodes SET protocols = '["rare"]' WHERE node_id = '${idOf(1)}';
        UPDATE nodes SET protocols = '[]' WHERE node_id = '${idOf(RARE_AT)}'; COMMIT`)
  }
  const { start } = tracingChannel('meshstore:statement')
  start.subscribe(onStatement)
  expect((await store.nodes.list(RARE)).map(({ nodeId }) => nodeId)).toEqual([idOf(RARE_AT)])
  start.unsubscribe(onStatement)
  expect(pieces).toBeGreaterThan(10)
  expect((await store.nodes.list(RARE)).map(({ nodeId }) => nodeId)).toEqual([idOf(1)])
  other.exec(`UPDATE nodes SET protocols = '["rare"]' WHERE node_id = '${idOf(RARE_AT)}'`)
  other.close()
  expect(await store.nodes.count(RARE)).toBe(2)
})

test('in a transaction, later calls wait for a page of several pieces', async () => {
  const [listed, counted] = await store.transaction(async (tx) => {
    const listing = tx.nodes.list({ protocol: 'late' })
    const counting = tx.nodes.count({ protocol: 'late' })
    await tx.nodes.create(node('zzz', { protocols: ['late'] }))
    return [await listing, await counting]
  })
  expect(listed).toEqual([])
  expect(counted).toBe(0)
  expect(await store.nodes.count({ protocol: 'late' })).toBe(1)
})
