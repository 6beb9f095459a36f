/** The tests of an application may fake the timers: nothing of the store's waits for a faked one. */
import { afterEach, expect, test, vi } from 'vitest'
import { openStorage } from '../../../src/index.ts'
import type { Backend } from '../../support/backends.ts'
import { all } from '../../support/expectations.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../support/samples.ts'

/** More than one slice of a unit, and several pages of an iteration. */
const MANY = 1_200

export function fakedTimers(backend: Backend): void {
  afterEach(() => {
    vi.useRealTimers()
  })

  test('with faked timers it reads, writes and closes', async () => {
    await using opened = await backend.open()
    const { store, url } = opened
    vi.useFakeTimers()
    await store.nodes.create(node('a'))
    await store.nodes.createMany(manyNodes(MANY))
    await Promise.all([store.nodes.save(node('a')), store.nodes.recordRoutes('a'), store.policies.save(policy('p'))])
    await store.nodes.update('a', { started: true })
    await store.transaction(async (tx) => {
      await tx.nodes.createMany(manyNodes(MANY, 'm'))
      await tx.transaction((nested) => nested.nodes.delete('a'))
    })
    await store.pathCache.resolve(pathKey('x', 'y'), async () => bundle('x', 'y'))
    await store.pathCache.invalidate({ source: 'x' })
    await store.pathCache.sweep()
    expect(await all(store.nodes.iterate())).toHaveLength(2 * MANY)
    expect(await store.nodes.list({ limit: 1_000 })).toHaveLength(1_000)
    expect((await store.health()).problems).toEqual([])
    await store.close()
    await (await openStorage(url)).close()
  })
}
