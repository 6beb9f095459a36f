import { expect, test } from 'vitest'
import type { Backend } from '../../support/backends.ts'
import { expectCode } from '../../support/expectations.ts'
import { gate } from '../../support/gate.ts'
import { bundle, node, pathKey } from '../../support/samples.ts'
import { calls } from '../calls.ts'

const A_B = pathKey('a', 'b')
const READ_ONLY = { readOnly: true }

export function misuse(backend: Backend): void {
  test.each(calls)('in its own transaction %s of the store is MISUSE, and the transaction goes on', async (_, call) => {
    await using opened = await backend.open()
    const { store } = opened
    await store.transaction(async (tx) => {
      await expectCode(call(store), 'MISUSE')
      await tx.nodes.create(node('goes on'))
    })
    await store.transaction((tx) => expectCode(call(store), 'MISUSE').then(() => tx.nodes.count()), READ_ONLY)
    expect(await store.nodes.count()).toBe(1)
  })

  test('a transaction within a transaction of the store is MISUSE', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.transaction(async () => {
      for (const options of [{}, READ_ONLY]) {
        await expectCode(
          store.transaction(async () => 'reached', options),
          'MISUSE',
        )
      }
    })
  })

  test('close() in a transaction of the same store is MISUSE, and closes nothing', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.transaction(async (tx) => {
      await expectCode(store.close(), 'MISUSE')
      await tx.transaction(() => expectCode(store[Symbol.asyncDispose](), 'MISUSE'))
      await tx.nodes.create(node('a'))
    })
    await store.transaction(() => expectCode(store.close(), 'MISUSE'), READ_ONLY)
    expect(await store.nodes.count()).toBe(1)
  })

  test('health() in a transaction of the same store says so, and does not reject', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const health = await store.transaction(() => store.health())
    expect(health).toMatchObject({ canRead: false, canWrite: false })
    expect(health.problems.map(({ code }) => code)).toEqual(['MISUSE', 'MISUSE'])
    expect(await store.health()).toMatchObject({ canRead: true, canWrite: true, problems: [] })
  })

  test('it is found however deep in the callback it happens', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.transaction(async () => {
      const deep = new Promise((resolve, reject) => {
        setTimeout(() => process.nextTick(() => store.nodes.count().then(resolve, reject)), 1)
      })
      await expectCode(deep, 'MISUSE')
      await expectCode(Promise.all([store.nodes.create(node('a'))]), 'MISUSE')
    })
  })

  test('work that was begun in a transaction and outlives it may use the store', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const ended = gate()
    const outliving = await store.transaction(async (tx) => {
      await tx.nodes.create(node('a'))
      const later = ended.opened.then(async () => {
        await store.nodes.create(node('b'))
        await store.transaction((next) => next.nodes.create(node('c')))
        return store.nodes.count()
      })
      return { later }
    })
    ended.open()
    expect(await outliving.later).toBe(3)
  })

  test('the same after a rollback, and out of a savepoint', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const ended = gate()
    const later: Promise<unknown>[] = []
    const undone = store.transaction(async (tx) => {
      later.push(ended.opened.then(() => store.nodes.create(node('a'))))
      await tx.transaction(async () => {
        later.push(ended.opened.then(() => store.nodes.create(node('b'))))
      })
      throw new Error('undo')
    })
    await expect(undone).rejects.toThrow('undo')
    ended.open()
    await Promise.all(later)
    expect(await store.nodes.count()).toBe(2)
  })

  test('others use the store as they like while a transaction of somebody else is open', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const begun = gate()
    const goOn = gate()
    const held = store.transaction(async (tx) => {
      begun.open()
      await goOn.opened
      await tx.nodes.create(node('a'))
    })
    await begun.opened
    const other = Promise.all([store.nodes.create(node('b')), store.nodes.count()])
    goOn.open()
    await held
    await other
    expect(await store.nodes.count()).toBe(2)
  })

  test('its path cache neither computes, sweeps nor watches', async () => {
    await using opened = await backend.open()
    await opened.store.transaction(async (tx) => {
      const { pathCache } = tx
      const compute = () => bundle('a', 'b')
      // @ts-expect-error not in a transaction
      await expectCode(pathCache.getOrCompute(A_B, compute), 'MISUSE')
      // @ts-expect-error not in a transaction
      await expectCode(pathCache.resolve(A_B, compute), 'MISUSE')
      // @ts-expect-error not in a transaction
      await expectCode(pathCache.sweep(), 'MISUSE')
      // @ts-expect-error not in a transaction
      expect(() => pathCache.watch(A_B)).toThrow(expect.objectContaining({ code: 'MISUSE' }))
    })
  })

  test('two stores do not get in each other’s way: transactions of them nest', async () => {
    await using first = await backend.open()
    await using second = await backend.open()
    await first.store.transaction(async (tx) => {
      await second.store.nodes.create(node('b'))
      await second.store.transaction(async (inner) => {
        await inner.nodes.create(node('c'))
        await tx.nodes.create(node('a'))
        await expectCode(first.store.nodes.count(), 'MISUSE')
        await expectCode(second.store.nodes.count(), 'MISUSE')
      })
      expect(await second.store.nodes.count()).toBe(2)
      await expectCode(first.store.nodes.count(), 'MISUSE')
    })
    expect(await first.store.nodes.count()).toBe(1)
  })
}
