/** The change stream has own tables, and a changed row drops the cached paths through its ends, whichever program changes it. */
import { describe, expect, test } from 'vitest'
import type { Change } from '../../src/index.ts'
import { backends } from '../support/backends.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { app, migrations } from './app/schema.ts'
import { type AppStore, link, withTables } from './app/stages.ts'

const open = async (backend: (typeof backends)[number]) => {
  const opened = await backend.open({ tables: app, migrations, pathCache: { sweepSeconds: 3_600 } })
  return { opened, store: withTables(opened) }
}

/** The changes up to the one that is shown as `last`. */
async function taken(store: AppStore, last: string, work: () => Promise<unknown>): Promise<string[]> {
  await using changes = store.changes()
  await changes.ready()
  await work()
  const all: string[] = []
  for await (const change of changes) {
    if (change.operation !== 'invalidate') all.push(shown(change))
    if (all.at(-1) === last) break
  }
  return all
}
const shown = ({ table, operation, key }: Change): string => `${table} ${operation} ${key ?? ''}`.trim()

/** A cached path from `a` to `b` by way of `relay`. */
const cache = async ({ pathCache }: AppStore): Promise<void> => {
  await pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
}
const isCached = async ({ pathCache }: AppStore): Promise<boolean> =>
  (await pathCache.get(pathKey('a', 'b'))) !== undefined

describe.each(backends)('own tables on $name', (backend) => {
  test('their changes are in the stream, in the order of the commits', async () => {
    const { opened, store } = await open(backend)
    await using _ = opened
    const found = await taken(store, 'sites delete s', async () => {
      await store.transaction(async (tx) => {
        await tx.nodes.create(node('n'))
        await tx.tables.sites.create({ siteId: 's', name: 'one' })
      })
      await store.tables.links.create(link('l', { source: 'x', target: 'y', siteId: 's' }))
      await store.tables.links.update('l', { tags: ['t'] })
      await store.tables.links.delete('l')
      await store.tables.sites.deleteMany({ siteId: 's' })
    })
    expect(found).toEqual([
      'nodes insert n',
      'sites insert s',
      'links insert l',
      'links update l',
      'links delete l',
      'sites delete s',
    ])
  })

  test('a row that is added, changed, replaced or deleted drops the paths through its ends', async () => {
    const { opened, store } = await open(backend)
    await using _ = opened
    const { links } = store.tables
    await links.create(link('l', { source: 'x', target: 'y' }))
    const steps: readonly [string, boolean, () => Promise<unknown>][] = [
      ['another link', false, () => links.create(link('other', { source: 'c', target: 'd' }))],
      ['a column that does not count', false, () => links.update('l', { tags: ['x'] })],
      ['an end comes to be on the path', true, () => links.update('l', { source: 'relay' })],
      ['a cost', true, () => links.update('l', { cost: 2 })],
      ['the same cost', false, () => links.update('l', { cost: 2 })],
      ['an upsert', true, () => links.save(link('l', { source: 'relay', target: 'y', cost: 3 }))],
      ['many', true, () => links.updateMany({ cost: 3 }, { isUp: false })],
      ['an end leaves the path', true, () => links.update('l', { source: 'x' })],
      ['a new link', true, () => links.create(link('m', { source: 'b', target: 'z' }))],
      ['a link that goes', true, () => links.delete('m')],
      ['another link that goes', false, () => links.delete('other')],
    ]
    for (const [what, isDropped, work] of steps) {
      await cache(store)
      expect(await isCached(store), what).toBe(true)
      await work()
      expect(await isCached(store), what).toBe(!isDropped)
    }
  })

  test('a rolled back change drops nothing', async () => {
    const { opened, store } = await open(backend)
    await using _ = opened
    await cache(store)
    const failing = store.transaction(async (tx) => {
      await tx.tables.links.create(link('l'))
      expect(await tx.pathCache.get(pathKey('a', 'b'))).toBeUndefined()
      throw new Error('undone')
    })
    await expect(failing).rejects.toThrow('undone')
    expect(await isCached(store)).toBe(true)
  })
})
