/** A transaction with a connection of its own: others read beside it. In memory there is one connection for all. */
import { expect, test } from 'vitest'
import { dump } from '../support/content.ts'
import { gate } from '../support/gate.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { eachLastingBackend } from '../support/settings.ts'

const READ_ONLY = { readOnly: true }

eachLastingBackend('beside a transaction', (backend) => {
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

  test('every read of a read-only transaction sees the moment at which it began, and no writer is held up', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('a'))
    const begun = gate()
    const goOn = gate()
    const snapshot = store.transaction(async (tx) => {
      begun.open()
      await goOn.opened
      const first = await dump(tx)
      const second = await tx.transaction(dump)
      return [first, second]
    }, READ_ONLY)
    await begun.opened
    const before = await dump(store)
    // The snapshot has read nothing yet: its moment is the beginning all the same.
    await store.nodes.update('a', { started: true })
    await store.nodes.create(node('b'))
    await store.transaction((tx) => tx.policies.create(policy('p')))
    await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    goOn.open()
    expect(await snapshot).toEqual([before, before])
    expect((await store.transaction(dump, READ_ONLY)).nodes).toHaveLength(2)
  })

  test('a read-only transaction may be begun while a transaction is open, and does not see it', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const written = gate()
    const goOn = gate()
    const held = store.transaction(async (tx) => {
      await tx.nodes.create(node('a'))
      written.open()
      await goOn.opened
    })
    await written.opened
    expect(await store.transaction((tx) => tx.nodes.count(), READ_ONLY)).toBe(0)
    goOn.open()
    await held
    expect(await store.transaction((tx) => tx.nodes.count(), READ_ONLY)).toBe(1)
  })
})
