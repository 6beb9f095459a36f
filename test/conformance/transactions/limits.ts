import { expect, test } from 'vitest'
import type { Transaction } from '../../../src/index.ts'
import type { Backend } from '../../support/backends.ts'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { gate } from '../../support/gate.ts'
import { node } from '../../support/samples.ts'

export function limits(backend: Backend): void {
  test('past timeoutMs it rejects with TIMEOUT, and nothing of it was written', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const never = new Promise<void>(() => {})
    const late = store.transaction(
      async (tx) => {
        await tx.nodes.create(node('a'))
        await tx.transaction(async (nested) => {
          await nested.nodes.create(node('b'))
          await never
        })
      },
      { timeoutMs: 20 },
    )
    const error = await expectCode(late, 'TIMEOUT')
    expect(error.retryable).toBe(true)
    expect(await store.nodes.count()).toBe(0)
    await store.nodes.create(node('a'))
  })

  test('what the callback still does past its time is refused, in savepoints too', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const goOn = gate()
    const attempts = (tx: Transaction): (() => Promise<unknown>)[] => [
      () => tx.nodes.create(node('late')),
      () => tx.nodes.createMany([node('late')]),
      () => tx.nodes.get('late'),
      () => tx.transaction((inner) => inner.nodes.create(node('late'))),
    ]
    const outer: Transaction[] = []
    let savepoint: Promise<unknown> = Promise.resolve()
    const late = store.transaction(
      (tx) => {
        savepoint = tx.transaction(async (nested) => {
          outer.push(tx)
          await goOn.opened
          for (const attempt of attempts(nested)) await expectCode(attempt(), 'TIMEOUT')
        })
        return savepoint
      },
      { timeoutMs: 20 },
    )
    await expectCode(late, 'TIMEOUT')
    // Another transaction has the writer by now.
    await store.transaction(async (other) => {
      await other.nodes.create(node('in time'))
      goOn.open()
      await expectCode(savepoint, 'TIMEOUT')
      for (const attempt of outer.flatMap(attempts)) await expectCode(attempt(), 'TIMEOUT')
    })
    expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['in time'])
  })

  test('past its time the callback is outside again, and may use the store', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const goOn = gate()
    const later: Promise<unknown>[] = []
    const outliving = async (id: string): Promise<void> => {
      await goOn.opened
      await store.nodes.create(node(id))
      await store.transaction((tx) => tx.nodes.recordRoutes(id))
    }
    const late = store.transaction(
      async (tx) => {
        later.push(outliving('of the transaction'))
        await tx.transaction(() => {
          later.push(outliving('of the savepoint'))
          return new Promise<void>(() => {})
        })
      },
      { timeoutMs: 20 },
    )
    await expectCode(late, 'TIMEOUT')
    goOn.open()
    await Promise.all(later)
    expect(await store.nodes.count()).toBe(2)
  })

  test('waiting for a turn does not count: the time begins with the transaction', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const goOn = gate()
    const first = store.transaction(() => goOn.opened)
    const second = store.transaction((tx) => tx.nodes.create(node('a')), { timeoutMs: 100 })
    setTimeout(goOn.open, 200)
    await first
    expect((await second).nodeId).toBe('a')
  })

  test('a read-only transaction has the same limit', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const late = store.transaction(() => new Promise<never>(() => {}), { readOnly: true, timeoutMs: 20 })
    await expectCode(late, 'TIMEOUT')
    expect(await store.transaction((tx) => tx.nodes.count(), { readOnly: true })).toBe(0)
  })

  test('options that it does not know are refused', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const refused = (options: unknown, path: string) =>
      expectRefused(
        store.transaction(async () => 'reached', options as object),
        path,
      )
    for (const timeoutMs of [0, -1, 1.5, Number.NaN, 2 ** 31, '5']) await refused({ timeoutMs }, 'timeoutMs')
    for (const attempts of [0, 1_001, 2.5]) await refused({ attempts }, 'attempts')
    await refused({ readOnly: 1 }, 'readOnly')
    await refused({ isolation: 'serializable' }, 'isolation')
    await refused(null, '')
    const absent = { readOnly: undefined, timeoutMs: undefined, attempts: undefined }
    expect(await store.transaction(async () => 'reached', absent)).toBe('reached')
    expect(await store.transaction(async () => 'reached', { timeoutMs: 5_000, attempts: 3, readOnly: false })).toBe(
      'reached',
    )
  })
}
