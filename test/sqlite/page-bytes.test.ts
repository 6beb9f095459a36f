/**
 * However large the rows of a page are, the event loop runs between pieces of it: a statement reads so many bytes and one
 * row, and the loop turns before the next one. Counted in rows for each turn, not in milliseconds.
 */
import { tracingChannel } from 'node:diagnostics_channel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mapYielding } from '../../src/event-loop.ts'
import type { StatementEvent } from '../../src/index.ts'
import { all } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, numbered, pathKey } from '../support/samples.ts'
import { migrations } from '../tables/app/schema.ts'
import { type AppStore, type AppTransaction, openApp } from '../tables/app/stages.ts'
import { Turns } from './support/turns.ts'

const ROWS = 40
const ROW_CHARACTERS = 100_000
/** Two pieces, of which each has 262,144 bytes and the row that passes them. Without pieces, all rows are read in one turn. */
const MOST_IN_A_TURN = 6

const folder = temporaryFolder()
const ids = Array.from({ length: ROWS }, (_, index) => numbered('large', index))
let store: AppStore

beforeAll(async () => {
  store = await openApp(folder.file('mesh.db'), { migrations })
  const padding = 'x'.repeat(ROW_CHARACTERS)
  await store.tables.sites.createMany(
    ids.map((siteId) => ({ siteId, name: siteId, plan: { rooms: [padding] } }) as never),
  )
  for (const policyId of ids) await store.policies.create({ policyId, yamlContent: `# ${padding}\nrules: []\n` })
  // Last: a new policy drops all paths.
  await store.pathCache.setMany(
    ids.map((id) => ({ key: pathKey(id, 'often'), bundle: { ...bundle(id, 'often'), padding } })),
  )
})
afterAll(async () => {
  await store.close()
  folder[Symbol.dispose]()
})

/** The most rows that the library read in one turn of the event loop. */
async function mostInATurn(work: () => Promise<unknown>): Promise<number> {
  using turns = new Turns()
  const rows = new Map<number, number>()
  const { end } = tracingChannel('meshstore:statement')
  const onEnd = (event: unknown): void => {
    const { name, rows: read = 0 } = event as StatementEvent
    if (/\.(list|getMany)/.test(name)) rows.set(turns.count, (rows.get(turns.count) ?? 0) + read)
  }
  end.subscribe(onEnd)
  try {
    await work()
  } finally {
    end.unsubscribe(onEnd)
  }
  return Math.max(...rows.values())
}

type Where = Pick<AppTransaction, 'tables' | 'pathCache' | 'policies'>

describe.each(['the store', 'a transaction', 'a read-only transaction'])('large rows on %s', (where) => {
  const on = <T>(work: (repositories: Where) => Promise<T>): Promise<T> =>
    where === 'the store' ? work(store) : store.transaction(work, { readOnly: where === 'a read-only transaction' })

  test.each<readonly [string, (repositories: Where) => Promise<readonly { readonly [key: string]: unknown }[]>]>([
    ['pathCache.list()', ({ pathCache }) => pathCache.list() as never],
    ['pathCache.list() of a destination', ({ pathCache }) => pathCache.list({ destination: 'often' }) as never],
    ['pathCache.iterate()', ({ pathCache }) => all(pathCache.iterate()) as never],
    ['an own table’s list()', ({ tables }) => tables.sites.list() as never],
    ['an own table’s list() by a filter', ({ tables }) => tables.sites.list({ where: { name: ids } }) as never],
    ['an own table’s iterate()', ({ tables }) => all(tables.sites.iterate()) as never],
    ['an own table’s getMany()', ({ tables }) => tables.sites.getMany(ids) as never],
    ['policies.getMany()', ({ policies }) => policies.getMany(ids) as never],
  ])('%s', async (_, read) => {
    let found: readonly { readonly [key: string]: unknown }[] = []
    const most = await mostInATurn(async () => {
      found = await on(read)
    })
    expect(found.map((row) => row.source ?? row.siteId ?? row.policyId)).toEqual(ids)
    expect(most).toBeLessThanOrEqual(MOST_IN_A_TURN)
    expect(most).toBeGreaterThan(0)
  })
})

test('one large page is of one moment', async () => {
  const seen: (readonly [number, number])[] = []
  for (let turn = 0; turn < 5; turn++) {
    const listing = store.tables.sites.list()
    const getting = store.tables.sites.getMany(ids)
    await store.tables.sites.updateMany({ name: ids[0] as string }, { name: `moved ${turn}` })
    await store.tables.sites.update(ids[0] as string, { name: ids[0] as string })
    seen.push([(await listing).length, (await getting).length])
  }
  expect(seen).toEqual(Array.from({ length: 5 }, () => [ROWS, ROWS]))
})

test('in a transaction, later calls wait for a page that is cut', async () => {
  const rolledBack = new Error('rolled back')
  const counts: number[] = []
  const working = store.transaction(async (tx) => {
    const [listing, getting] = [tx.pathCache.list(), tx.policies.getMany([...ids, 'late'])]
    await tx.policies.create({ policyId: 'late', yamlContent: 'rules: []\n' })
    await tx.pathCache.delete(pathKey(ids.at(-1) as string, 'often'))
    counts.push((await listing).length, (await getting).length)
    throw rolledBack
  })
  await expect(working).rejects.toBe(rolledBack)
  expect(counts).toEqual([ROWS, ROWS])
})

test('where a server answers, decoding lets the loop run between large values', async () => {
  using turns = new Turns()
  const decoded = await mapYielding([1, 2, 3, 4], (value) => {
    for (const until = performance.now() + 5; performance.now() < until; );
    return value * 2
  })
  expect(decoded).toEqual([2, 4, 6, 8])
  expect(turns.count).toBeGreaterThanOrEqual(3)
})
