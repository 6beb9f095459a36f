/** drizzle-kit and the library keep one ledger: whoever comes first, the other goes on from there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TreeCopy } from '../schema/tree-copy.ts'
import { ofMany } from '../support/bounds.ts'
import { drizzleKitMigrate, migrated, opened, statusOf, type Tree } from './support/commands.ts'
import { eachDialect, rowsFor, type Scratch } from './support/databases.ts'
import { ADD_NOTE, CHECK_ROUTES, grown, LIMIT_K, ledgerOf, tagsOf, without } from './support/trees.ts'

/** As a history of releases: with one migration, with two, with three, with all four. */
const releases: TreeCopy[] = []
beforeAll(async () => {
  const full = await grown(ADD_NOTE, CHECK_ROUTES, LIMIT_K)
  releases.push(without(full, ADD_NOTE, CHECK_ROUTES, LIMIT_K), without(full, CHECK_ROUTES, LIMIT_K))
  releases.push(without(full, LIMIT_K), full)
})
afterAll(() => {
  for (const release of releases) release[Symbol.dispose]()
})

type Who = 'ours' | 'drizzle-kit'
const by: Record<Who, (tree: Tree, url: string) => Promise<unknown>> = {
  ours: (tree, url) => migrated(tree, url, 'up', '--no-backup'),
  'drizzle-kit': drizzleKitMigrate,
}

/** The releases that are installed, one after another, and by whom. */
const ORDERS: readonly (readonly [Who, number])[][] = [
  [['ours', 3]],
  [['drizzle-kit', 3]],
  [
    ['drizzle-kit', 0],
    ['ours', 3],
  ],
  [
    ['ours', 1],
    ['drizzle-kit', 3],
  ],
  [
    ['ours', 0],
    ['drizzle-kit', 1],
    ['ours', 2],
    ['drizzle-kit', 3],
  ],
  [
    ['drizzle-kit', 1],
    ['ours', 2],
    ['drizzle-kit', 2],
    ['ours', 3],
    ['drizzle-kit', 3],
  ],
]

const at = (index: number): TreeCopy => {
  const release = releases[index]
  if (release === undefined) throw new Error('There is no such release.')
  return release
}

eachDialect('drizzle-kit and the library', (dialect, make) => {
  const title = (order: (typeof ORDERS)[number]): string =>
    order.map(([who, release]) => `${who} up to ${release}`).join(', ')

  const catalogs: string[][] = []

  describe.each(
    ofMany(ORDERS, [...ORDERS.slice(1, 3), ...ORDERS.slice(-1)]).map((order) => ({ order, title: title(order) })),
  )('$title', ({ order }) => {
    test('leave one ledger and one catalog, and each sees what the other applied', async () => {
      await using scratch = await make()
      for (const [index, [who, release]] of order.entries()) {
        await by[who](at(release), scratch.url)
        // The first one made the tables: the rows go through everything that comes after it.
        if (index === 0) await scratch.query(rowsFor(dialect))
        expect(await scratch.ledger()).toEqual(ledgerOf(at(release), dialect))
        const tags = tagsOf(at(release))
        expect(await statusOf(at(release), scratch.url)).toMatchObject({ code: 0, state: 'current', applied: tags })
      }
      expect(await statusOf(at(3), scratch.url)).toMatchObject({ drift: [], others: [], newer: [], pending: [] })
      expect(await opened(at(3), scratch.url, 'check')).toEqual([{ nodes: ['check', 'gw-1', 'gw-2'] }])
      // All of the orders leave the same catalog.
      catalogs.push(await withoutLedger(scratch))
      expect(catalogs.at(-1)).toEqual(catalogs[0])
    })
  })

  test('older code names what is newer, whichever of the two applied it', async () => {
    await using scratch = await make()
    await by['drizzle-kit'](at(2), scratch.url)
    await by.ours(at(3), scratch.url)
    const { newer, state } = await statusOf(at(0), scratch.url)
    expect(state).toBe('current')
    expect(newer).toEqual(tagsOf(at(3)).slice(-3))
  })
})

const withoutLedger = async (scratch: Scratch): Promise<string[]> =>
  (await scratch.catalog()).filter((part) => !part.includes('__drizzle_migrations'))
