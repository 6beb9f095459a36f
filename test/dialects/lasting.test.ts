/** Databases that outlive the store, and that several stores can have open. */
import { expect, test } from 'vitest'
import { reads, writes } from '../conformance/calls.ts'
import { fill } from '../conformance/lifecycle/opening.ts'
import { Clock } from '../support/clock.ts'
import { contentHash, dump } from '../support/content.ts'
import { all, expectCode } from '../support/expectations.ts'
import { bundle, manyNodes, node, numbered, pathKey, policy } from '../support/samples.ts'
import { eachLastingBackend } from '../support/settings.ts'
import { record } from '../support/tracing.ts'

eachLastingBackend('what lasts', (backend) => {
  test('what was written is there when it is opened again', async () => {
    const clock = new Clock()
    await using opened = await backend.open({ now: clock.now })
    await fill(opened)
    const before = await dump(opened.store)
    expect(await dump(await opened.reopen())).toEqual(before)
    const { store } = opened
    await expectCode(store.nodes.count(), 'CLOSED')
  })

  test('an entry of the cache expires while nobody has it open', async () => {
    const clock = new Clock()
    await using opened = await backend.open({ now: clock.now })
    await opened.store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 10 })
    clock.advance(9_999)
    expect(await (await opened.reopen()).pathCache.count()).toBe(1)
    clock.advance(1)
    expect(await (await opened.reopen()).pathCache.get(pathKey('a', 'b'))).toBeUndefined()
  })

  test('stores that have the same database open see what the other one wrote', async () => {
    await using opened = await backend.open()
    const second = await opened.openAgain()
    await opened.store.nodes.create(node('a'))
    expect(await second.nodes.get('a')).toMatchObject(node('a'))
    await Promise.all(
      Array.from({ length: 40 }, (_, turn) => (turn % 2 ? second : opened.store).nodes.recordRoutes('a')),
    )
    expect((await opened.store.nodes.get('a'))?.routesDiscovered).toBe(40)
    await expectCode(second.nodes.create(node('a')), 'ALREADY_EXISTS')
    await opened.store.close()
    expect(await second.nodes.count()).toBe(1)
  })

  test.each(['apply', 'check', 'skip'] as const)(
    "a database that is up to date is opened by migrate: '%s'",
    async (migrate) => {
      await using opened = await backend.open()
      await fill(opened)
      const before = await contentHash(opened)
      const store = await opened.reopen({ migrate })
      expect(await contentHash(opened)).toBe(before)
      await store.nodes.create(node('a'))
    },
  )

  test('a read-only store reads, and refuses every write with READ_ONLY', async () => {
    await using opened = await backend.open()
    await fill(opened)
    await opened.store.nodes.create(node('a'))
    await opened.store.policies.create(policy('a'))
    const before = await contentHash(opened)
    const store = await opened.reopen({ readOnly: true })
    for (const [, read] of reads) await read(store)
    for (const [, write] of writes) await expectCode(write(store), 'READ_ONLY')
    await expectCode(
      store.transaction(async () => 'reached'),
      'READ_ONLY',
    )
    expect(await store.transaction((tx) => tx.nodes.count(), { readOnly: true })).toBe(301)
    expect((await store.stats()).rows).toEqual({ nodes: 301, policies: 2, pathCache: 1 })
    expect(await store.health()).toMatchObject({ canRead: true, canWrite: false, problems: [] })
    expect(await contentHash(opened)).toBe(before)
  })

  test('a read-only store sees what others write', async () => {
    await using opened = await backend.open()
    const reader = await opened.openAgain({ readOnly: true })
    await opened.store.nodes.create(node('a'))
    expect(await reader.nodes.count()).toBe(1)
  })

  test('the writes that were called before close are there when it is opened again', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.createMany(['updated', 'deleted', 'counted'].map((id) => node(id)))
    const written = [
      ...Array.from({ length: 200 }, (_, index) => store.nodes.create(node(numbered('created', index)))),
      store.nodes.createMany(manyNodes(1_200, 'many')),
      store.nodes.save(node('saved')),
      store.nodes.update('updated', { started: true }),
      store.nodes.delete('deleted'),
      store.nodes.recordRoutes('counted', 5),
      store.policies.create(policy('p')),
      store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b')),
      store.transaction((tx) => tx.nodes.create(node('in a transaction'))),
    ]
    const closed = store.close()
    await Promise.all(written)
    await closed
    const { nodes, policies, pathCache } = await opened.reopen()
    const ids = (await all(nodes.iterate())).map(({ nodeId }) => nodeId)
    expect(ids).toHaveLength(200 + 1_200 + 4)
    expect(ids).not.toContain('deleted')
    expect(await nodes.getMany(['updated', 'counted'])).toMatchObject([{ started: true }, { routesDiscovered: 5 }])
    expect(await policies.count()).toBe(1)
    // Whether it outlived the new policy is another matter: nothing said which of them comes first.
    expect((await pathCache.stats()).entries).toBe(1)
  })

  test('on a read-only store a bundle is returned though it cannot be stored, and the event tells why', async () => {
    await using opened = await backend.open()
    const store = await opened.reopen({ readOnly: true })
    using recorded = record('cache', 'asyncEnd')
    const computed = await store.pathCache.getOrCompute(pathKey('a', 'b'), () => bundle('a', 'b'))
    expect(computed).toEqual(bundle('a', 'b'))
    expect(recorded.events).toMatchObject([{ origin: 'computed', notStored: 'READ_ONLY' }])
    expect(await store.pathCache.get(pathKey('a', 'b'))).toBeUndefined()
    expect(await store.pathCache.stats()).toMatchObject({ entries: 0, computations: 1 })
  })
})
