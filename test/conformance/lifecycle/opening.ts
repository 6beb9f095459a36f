import { expect, test } from 'vitest'
import type { Backend, OpenStore } from '../../support/backends.ts'
import { Clock } from '../../support/clock.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../support/samples.ts'

/** Something of everything. */
export async function fill({ store }: Pick<OpenStore, 'store'>): Promise<void> {
  await store.nodes.createMany(manyNodes(300))
  await store.nodes.update('n-0007', { started: true })
  await store.policies.create(policy('p'))
  await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 3_600 })
}

export function opening(backend: Backend): void {
  test('an empty store says what it is', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const stats = await store.stats()
    expect(stats).toMatchObject({ rows: { nodes: 0, policies: 0, pathCache: 0 }, expiredPaths: 0, queuedWrites: 0 })
    expect(stats.bytes).toBeGreaterThan(0)
    expect(stats.schemaVersion).toMatch(/^\d{4}_\w+$/)
    const health = await store.health()
    expect(health).toMatchObject({ canRead: true, canWrite: true, lastBackup: undefined, problems: [] })
    expect(health.readMs).toBeGreaterThanOrEqual(0)
    expect(health.writeMs).toBeGreaterThanOrEqual(0)
  })

  test('stats counts the rows, and the cached paths that have expired', async () => {
    const clock = new Clock()
    await using opened = await backend.open({ now: clock.now })
    await fill(opened)
    await opened.store.pathCache.set(pathKey('b', 'a'), bundle('b', 'a'), { ttlSeconds: 1 })
    clock.advance(1_000)
    const stats = await opened.store.stats()
    expect(stats).toMatchObject({ rows: { nodes: 300, policies: 1, pathCache: 2 }, expiredPaths: 1, queuedWrites: 0 })
  })

  test('two stores that are opened for themselves have nothing in common', async () => {
    await using first = await backend.open()
    await using second = await backend.open()
    await first.store.nodes.create(node('a'))
    expect(await second.store.nodes.count()).toBe(0)
  })
}
