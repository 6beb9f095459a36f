/** Lists of own tables are read in pieces, as those of nodes are: SQLite reads within the call. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StatementEvent } from '../../src/index.ts'
import { all } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { record } from '../support/tracing.ts'
import { type AppStore, link, openApp } from '../tables/app/stages.ts'

const MANY = 20_000
const MOST_RETURNED = 2_000
const MOST_PASSED = 500
const RARE_AT = 15_000
const keyOf = (index: number): string => `l${String(index).padStart(6, '0')}`

const folder = temporaryFolder()
let store: AppStore
beforeAll(async () => {
  store = await openApp(folder.file('mesh.db'))
  await store.tables.links.createMany(
    Array.from({ length: MANY }, (_, index) =>
      link(keyOf(index), {
        isUp: index !== RARE_AT,
        // Few have an index's source 'few', half of them 'half'.
        source: index % 2 === 0 ? 'half' : index % 1_001 === 0 ? 'few' : 'rest',
      }),
    ),
  )
})
afterAll(async () => {
  await store.close()
  folder[Symbol.dispose]()
})

type Links = AppStore['tables']['links']
const DOWN = { isUp: false }

async function statementsOf(work: () => Promise<unknown>): Promise<StatementEvent[]> {
  using statements = record('statement', 'end')
  await work()
  return statements.events.filter(({ name }) => /links\.(list|count|many):/.test(name))
}

describe.each(['the store', 'a transaction'])('on %s', (where) => {
  const on = <T>(work: (links: Links) => Promise<T>): Promise<T> =>
    where === 'the store' ? work(store.tables.links) : store.transaction((tx) => work(tx.tables.links))

  test.each<readonly [string, passed: number, (links: Links) => Promise<unknown>, unknown]>([
    ['list() without an index', MANY, async (links) => (await links.list({ where: DOWN })).length, 1],
    [
      'list() without an index, by a cost',
      MANY,
      async (links) => (await links.list({ where: DOWN, orderBy: 'cost', descending: true })).length,
      1,
    ],
    ['iterate() without an index', MANY, async (links) => (await all(links.iterate({ where: DOWN }))).length, 1],
    ['count() without an index', MANY, (links) => links.count(DOWN), 1],
    [
      'list() by an index that leads to many, and no index',
      MANY,
      async (links) => (await links.list({ where: { ...DOWN, source: 'half' } })).length,
      1,
    ],
    ['count() by an index that leads to many', MANY, (links) => links.count({ source: 'half' }), MANY / 2],
    [
      'list() of 10,000',
      10_000,
      async (links) => (await links.list({ where: { source: 'half' }, limit: 10_000 })).length,
      10_000,
    ],
  ])('%s is read in pieces', async (_, passed, work, expected) => {
    let found: unknown
    const statements = await statementsOf(async () => {
      found = await on(work)
    })
    expect(found).toBe(expected)
    expect(Math.max(...statements.map(({ rows = 0 }) => rows))).toBeLessThanOrEqual(MOST_RETURNED)
    expect(statements.length).toBeGreaterThanOrEqual(passed / (expected === 10_000 ? MOST_RETURNED : MOST_PASSED))
  })

  test('an index that leads to few is used: one statement looks, and one reads', async () => {
    let found: readonly unknown[] = []
    const statements = await statementsOf(async () => {
      found = await on((links) => links.list({ where: { ...DOWN, source: ['few', 'none'] } }))
    })
    expect(found).toEqual([])
    expect(statements.map(({ name }) => name)).toEqual(['links.many:source[]', 'links.list:isUp,source[];by source[]'])
  })
})

test('in a transaction, later calls wait for a page of several pieces', async () => {
  const [listed, counted] = await store.transaction(async ({ tables: { links } }) => {
    const listing = links.list({ where: { target: 'late', isUp: true } })
    const counting = links.count({ target: 'late' })
    await links.create(link('zzz', { target: 'late' }))
    return [await listing, await counting]
  })
  expect(listed).toEqual([])
  expect(counted).toBe(0)
  expect(await store.tables.links.count({ target: 'late' })).toBe(1)
})
