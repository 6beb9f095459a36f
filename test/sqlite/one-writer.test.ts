/** Guarantees of one writer at a time beyond isolation, in a file and in memory. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { sqliteFile, sqliteMemory } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { gate } from '../support/gate.ts'
import { manyNodes, node, policy } from '../support/samples.ts'

describe.each([sqliteFile, sqliteMemory])('one writer: $name', (backend) => {
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

  test('a transaction goes on after what a trigger refused in it, without a savepoint', async () => {
    await using opened = await backend.open()
    await opened.other.refuseRows('nodes', 'words of a trigger')
    await opened.store.transaction(async (tx) => {
      await tx.policies.create(policy('before'))
      const error = await expectCode(tx.nodes.create(node('a')), 'CONFLICT')
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('words of a trigger')
      await expectCode(tx.nodes.createMany([node('b'), node('c')]), 'CONFLICT')
      expect(await tx.nodes.count()).toBe(0)
      await tx.policies.create(policy('after'))
    })
    expect((await opened.store.policies.list()).map(({ policyId }) => policyId)).toEqual(['after', 'before'])
  })
})
