import { expect, test } from 'vitest'
import type { Backend } from '../../support/backends.ts'
import { contentHash, dump } from '../../support/content.ts'
import { expectCode } from '../../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../../support/samples.ts'
import { writes } from '../calls.ts'

const READ_ONLY = { readOnly: true }

export function snapshots(backend: Backend): void {
  test.each(writes)('in a read-only transaction %s is refused with READ_ONLY, and reads go on', async (_, write) => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('a'))
    await store.policies.create(policy('a'))
    await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    const before = await contentHash(opened)
    await store.transaction(async (tx) => {
      await expectCode(write(tx), 'READ_ONLY')
      await tx.transaction((nested) => expectCode(write(nested), 'READ_ONLY'))
      expect(await dump(tx)).toMatchObject({ nodes: [{ nodeId: 'a' }], policies: [{ policyId: 'a' }] })
    }, READ_ONLY)
    expect(await contentHash(opened)).toBe(before)
  })

  test('what the callback of a read-only transaction returns and throws reaches the caller', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('a'))
    expect(await store.transaction((tx) => tx.nodes.count(), READ_ONLY)).toBe(1)
    const failure = new Error('changed my mind')
    const failing = store.transaction(async () => {
      throw failure
    }, READ_ONLY)
    await expect(failing).rejects.toBe(failure)
    const kept = await store.transaction(async (tx) => tx, READ_ONLY)
    await expectCode(kept.nodes.count(), 'MISUSE')
  })

  test('many read-only transactions at once', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('a'))
    const counts = Array.from({ length: 12 }, () => store.transaction((tx) => tx.nodes.count(), READ_ONLY))
    expect(await Promise.all(counts)).toEqual(Array.from({ length: 12 }, () => 1))
  })
}
