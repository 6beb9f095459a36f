import { expect, test } from 'vitest'
import type { Meshstore } from '../../../src/index.ts'
import type { Backend } from '../../support/backends.ts'
import { expectCode } from '../../support/expectations.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { gate } from '../../support/gate.ts'
import { bundle, manyNodes, node, numbered, pathKey, policy } from '../../support/samples.ts'
import { calls } from '../calls.ts'

export function closing(backend: Backend): void {
  test('every operation on a closed store rejects with CLOSED', async () => {
    await using opened = await backend.open()
    using folder = temporaryFolder()
    const { store } = opened
    await store.close()
    const more: typeof calls = [
      ['transaction', () => store.transaction(async () => 'reached')],
      ['transaction, read-only', () => store.transaction(async () => 'reached', { readOnly: true })],
      ['backup', () => store.backup(folder.file('copy'))],
    ]
    for (const [name, call] of [...calls, ...more]) {
      const error = await expectCode(call(store), 'CLOSED')
      expect(error.retryable, name).toBe(false)
    }
  })

  test('health() of a closed store says so, and does not reject', async () => {
    await using opened = await backend.open()
    await opened.store.close()
    const health = await opened.store.health()
    expect(health).toMatchObject({ canRead: false, canWrite: false, lastBackup: undefined })
    expect(health.problems.map(({ code }) => code)).toEqual(['CLOSED', 'CLOSED'])
  })

  test('closing twice, and at once, is fine', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await Promise.all([store.close(), store.close(), store[Symbol.asyncDispose]()])
    await store.close()
  })

  test('await using closes', async () => {
    await using opened = await backend.open()
    const left = await (async (): Promise<Meshstore> => {
      await using store = opened.store
      await store.nodes.create(node('a'))
      return store
    })()
    await expectCode(left.nodes.count(), 'CLOSED')
  })

  test('an iteration ends with CLOSED, and a transaction object that was kept with MISUSE', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.createMany(manyNodes(700))
    const kept = await store.transaction(async (tx) => tx)
    const iterate = async (): Promise<void> => {
      for await (const { nodeId } of store.nodes.iterate()) if (nodeId === 'n-0001') await store.close()
    }
    await expectCode(iterate(), 'CLOSED')
    await expectCode(kept.nodes.count(), 'MISUSE')
  })

  test('close finishes the transaction that is open, and whatever it still does', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const begun = gate()
    const goOn = gate()
    const order: string[] = []
    const held = store.transaction(async (tx) => {
      begun.open()
      await goOn.opened
      await tx.nodes.createMany(manyNodes(600))
      await tx.transaction((nested) => nested.nodes.create(node('nested')))
      order.push('written')
      return tx.nodes.count()
    })
    await begun.opened
    const closed = store.close().then(() => order.push('closed'))
    await expectCode(store.nodes.count(), 'CLOSED')
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    goOn.open()
    expect(await held).toBe(601)
    await closed
    expect(order).toEqual(['written', 'closed'])
  })

  test('close waits for a read-only transaction', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('a'))
    const begun = gate()
    const goOn = gate()
    const order: string[] = []
    const held = store.transaction(
      async (tx) => {
        begun.open()
        await goOn.opened
        const count = await tx.nodes.count()
        order.push('read')
        return count
      },
      { readOnly: true },
    )
    await begun.opened
    const closed = store.close().then(() => order.push('closed'))
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    goOn.open()
    expect(await held).toBe(1)
    await closed
    expect(order).toEqual(['read', 'closed'])
  })

  test('a bundle that is found when the store has been closed is returned all the same', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const begun = gate()
    const found = Promise.withResolvers<ReturnType<typeof bundle>>()
    const asked = store.pathCache.getOrCompute(pathKey('a', 'b'), () => {
      begun.open()
      return found.promise
    })
    await begun.opened
    await store.close()
    found.resolve(bundle('a', 'b'))
    expect(await asked).toEqual(bundle('a', 'b'))
  })

  test('close finishes the writes that were called before it: each is told what it came to', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.createMany(['updated', 'deleted', 'counted'].map((id) => node(id)))
    const written = Promise.all([
      Promise.all(Array.from({ length: 50 }, (_, index) => store.nodes.create(node(numbered('created', index))))),
      store.nodes.createMany(manyNodes(600, 'many')),
      store.nodes.update('updated', { started: true }),
      store.nodes.delete('deleted'),
      store.nodes.recordRoutes('counted', 5),
      store.policies.create(policy('p')),
      store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b')),
      store.transaction((tx) => tx.nodes.create(node('in a transaction'))),
    ])
    const closed = store.close()
    const [created, many, ...others] = await written
    await closed
    expect([created.length, many.length]).toEqual([50, 600])
    expect(others).toMatchObject([
      { started: true },
      true,
      { routesDiscovered: 5 },
      { policyId: 'p' },
      { bundle: bundle('a', 'b') },
      { nodeId: 'in a transaction' },
    ])
  })
}
