import { expect, test } from 'vitest'
import type { Transaction } from '../../../src/index.ts'
import type { Backend } from '../../support/backends.ts'
import { all } from '../../support/expectations.ts'
import { gate } from '../../support/gate.ts'
import { bundle, node, pathKey, policy } from '../../support/samples.ts'

export function isolation(backend: Backend): void {
  test('nobody sees what is not committed, and may never be', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const written = gate()
    const goOn = gate()
    const undone = store.transaction(async (tx) => {
      await tx.nodes.create(node('a'))
      await tx.policies.create(policy('p'))
      await tx.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
      written.open()
      await goOn.opened
      throw new Error('undo')
    })
    await written.opened
    const reads = [
      store.nodes.get('a'),
      store.nodes.getMany(['a']),
      store.nodes.list(),
      all(store.nodes.iterate()),
      store.nodes.count(),
      store.policies.get('p'),
      store.policies.list(),
      store.pathCache.get(pathKey('a', 'b')),
      store.pathCache.count(),
      store.stats().then(({ rows }) => rows),
    ]
    goOn.open()
    await expect(undone).rejects.toThrow('undo')
    const nothing = [undefined, [], [], [], 0, undefined, [], undefined, 0, { nodes: 0, policies: 0, pathCache: 0 }]
    expect(await Promise.all(reads)).toEqual(nothing)
  })

  test('a read that was begun after a write was acknowledged sees it', async () => {
    await using opened = await backend.open()
    const { store } = opened
    for (let turn = 0; turn < 50; turn++) {
      await store.transaction((tx) => tx.nodes.save(node('a', { routesDiscovered: turn })))
      expect((await store.nodes.get('a'))?.routesDiscovered).toBe(turn)
      await store.nodes.recordRoutes('a')
      expect((await store.nodes.list())[0]?.routesDiscovered).toBe(turn + 1)
    }
  })

  test('no increment by reading and writing is lost between transactions', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('a'))
    const increment = async (tx: Transaction): Promise<void> => {
      const read = await tx.nodes.get('a')
      // A turn of the event loop, in which the others could come between.
      await new Promise((resolve) => setImmediate(resolve))
      await tx.nodes.update('a', { routesDiscovered: (read?.routesDiscovered ?? 0) + 1 })
    }
    // Each conflicts with all others, again and again.
    const increments = Array.from({ length: 40 }, () => store.transaction(increment, { timeoutMs: 60_000 }))
    await Promise.all(increments)
    expect((await store.nodes.get('a'))?.routesDiscovered).toBe(40)
  })

  test('nothing is lost that is written beside a transaction that is open', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('a'))
    const begun = gate()
    const goOn = gate()
    const held = store.transaction(async (tx) => {
      begun.open()
      await goOn.opened
      return tx.nodes.recordRoutes('a')
    })
    await begun.opened
    const others = [store.nodes.recordRoutes('a'), store.transaction((tx) => tx.nodes.recordRoutes('a'))]
    goOn.open()
    const counts = (await Promise.all([held, ...others])).map(({ routesDiscovered }) => routesDiscovered)
    expect(counts.toSorted()).toEqual([1, 2, 3])
  })
}
