import { expect, test } from 'vitest'
import type { Backend } from '../../support/backends.ts'
import { all } from '../../support/expectations.ts'
import { gate } from '../../support/gate.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../support/samples.ts'

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
    const increments = Array.from({ length: 40 }, () =>
      store.transaction(async (tx) => {
        const read = await tx.nodes.get('a')
        // A turn of the event loop, in which the others could come between.
        await new Promise((resolve) => setImmediate(resolve))
        await tx.nodes.update('a', { routesDiscovered: (read?.routesDiscovered ?? 0) + 1 })
      }),
    )
    await Promise.all(increments)
    expect((await store.nodes.get('a'))?.routesDiscovered).toBe(40)
  })

  if (!backend.has.readsBesideTransactions) return

  test('others read what was there before while a transaction is open', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const before = await store.nodes.create(node('a'))
    const written = gate()
    const goOn = gate()
    const held = store.transaction(async (tx) => {
      await tx.nodes.update('a', { started: true })
      written.open()
      await goOn.opened
    })
    await written.opened
    expect(await store.nodes.get('a')).toEqual(before)
    expect(await store.nodes.count({ started: true })).toBe(0)
    goOn.open()
    await held
    expect(await store.nodes.count({ started: true })).toBe(1)
  })
}

/** What one writer at a time gives beyond isolation. */
export function ordering(backend: Backend): void {
  if (!backend.has.oneWriter) return

  test('nothing else writes while a transaction is open', async () => {
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
    expect(counts).toEqual([1, 2, 3])
  })

  test('writes and transactions take effect in the order in which they were called', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const seen: unknown[] = []
    const look = (): Promise<unknown> =>
      store.transaction(async (tx) => seen.push((await tx.nodes.get('a'))?.protocols))
    await Promise.all([
      store.nodes.create(node('a', { protocols: ['created'] })),
      look(),
      store.nodes.save(node('a', { protocols: ['saved'] })),
      store.nodes.update('a', { protocols: ['updated'] }),
      look(),
      store.nodes.delete('a'),
      look(),
      store.nodes.createMany([node('a', { protocols: ['created again'] }), ...manyNodes(600)]),
      look(),
    ])
    expect(seen).toEqual([['created'], ['updated'], undefined, ['created again']])
  })

  test('transactions come one after the other, in the order in which they were called', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const order: number[] = []
    const turns = Array.from({ length: 20 }, (_, turn) =>
      store.transaction(async (tx) => {
        await tx.nodes.save(node('a'))
        order.push(turn)
        if (turn % 3 === 0) throw new Error('undo')
      }),
    )
    await Promise.allSettled(turns)
    expect(order).toEqual(Array.from({ length: 20 }, (_, turn) => turn))
  })
}
