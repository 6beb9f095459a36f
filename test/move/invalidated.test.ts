/** Cached paths that have been invalidated and not been swept: no copy brings them back. */
import { expect, test } from 'vitest'
import { copyDatabase, openStorage, restoreBackup } from '../../src/index.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { directions, filled, kinds } from './support/places.ts'

/** Leaves one path of three in the source, and rows of all of them. */
async function withDeadPaths(url: string): Promise<void> {
  await using store = await openStorage({
    url,
    pathCache: { ttlSeconds: 3_600, sweepSeconds: 86_400, invalidation: 'topology' },
  })
  const { nodes, policies, pathCache } = store
  await nodes.createMany([node('relay'), node('a')])
  await pathCache.set(pathKey('a', 'before the policy'), bundle('a', 'b'))
  await policies.create(policy('p'))
  await pathCache.set(pathKey('a', 'over the relay'), bundle('a', 'b'))
  await pathCache.set(pathKey('a', 'direct'), { source: 'a', destination: 'b', primary: [{ nodes: ['a', 'b'] }] })
  await nodes.delete('relay')
  expect(await left(store)).toEqual(['direct'])
  expect((await pathCache.stats()).entries).toBe(3)
}

const left = async ({ pathCache }: Awaited<ReturnType<typeof openStorage>>): Promise<string[]> =>
  (await pathCache.list()).map(({ destination }) => destination)

test.each(directions)('are left behind by a copy from $names.0 to $names.1', async ({ from, to }) => {
  await using source = await filled(await from.open())
  await using target = await to.open()
  await withDeadPaths(source.url)
  const { tables } = await copyDatabase(source.url, target.url)
  expect(tables.pathCache).toMatchObject({ rows: 1 })
  await using store = await openStorage(target.url)
  expect(await left(store)).toEqual(['direct'])
  await store.pathCache.sweep()
  expect(await left(store)).toEqual(['direct'])
})

test.each(kinds)('do not come back by a backup of $name', async (kind) => {
  using folder = temporaryFolder()
  await using source = await filled(await kind.open())
  await withDeadPaths(source.url)
  {
    await using store = await openStorage(source.url)
    await store.backup(folder.file('mesh.backup'))
  }
  await restoreBackup(folder.file('mesh.backup'), folder.file('restored.db'))
  await using restored = await openStorage(folder.file('restored.db'))
  expect(await left(restored)).toEqual(['direct'])
})
