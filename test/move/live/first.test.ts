import { expect, test } from 'vitest'
import { openStorage } from '../../../src/index.ts'
import { dump } from '../../support/content.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { borrowDatabase } from '../../support/postgres-backend.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../support/samples.ts'

test('a store moves while it serves', async () => {
  using folder = temporaryFolder()
  const database = await borrowDatabase()
  const store = await openStorage(`${folder.path}/mesh.db`)
  await store.nodes.createMany(manyNodes(5_000))
  await store.policies.create(policy('p'))
  await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 1000 })
  let stop = false
  let writes = 0
  const writing = (async () => {
    while (!stop) {
      await store.nodes.save(node(`w-${writes++ % 300}`, { routesDiscovered: writes }))
    }
  })()
  const report = await store.moveTo(database.owner)
  expect(report).toMatchObject({ attempts: 1, tables: { policies: { rows: 1 } } })
  expect(store.dialect).toBe('postgresql')
  stop = true
  await writing
  const before = await dump(store)
  await store.close()
  await using again = await openStorage(database.owner)
  expect(await dump(again)).toEqual(before)
  expect((await again.nodes.get(`w-${(writes - 1) % 300}`))?.routesDiscovered).toBe(writes)
})
