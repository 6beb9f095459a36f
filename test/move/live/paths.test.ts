/** Cached paths in a move: what was invalidated stays so, what came after it is there, and computations are not fooled. */
import { expect, test } from 'vitest'
import { openStorage } from '../../../src/index.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { gate } from '../../support/gate.ts'
import { bundle, node, pathKey } from '../../support/samples.ts'
import { moving } from './support/moving.ts'

describePostgres('cached paths that move', () => {
  test('those that were invalidated, and not yet deleted, do not come alive; those that were stored since do', async () => {
    // A sweep of the store's own would delete what this looks for.
    await using moved = await moving({ pathCache: { sweepSeconds: 86_400 } })
    const { store } = moved
    const { pathCache } = store
    const set = (source: string, destination: string) =>
      pathCache.set(pathKey(source, destination), bundle(source, destination), { ttlSeconds: 1_000 })
    for (const id of ['x', 'relay']) await store.nodes.create(node(id))
    for (const [source, destination] of [
      ['a', 'b'],
      ['x', 'b'],
      ['x', 'c'],
      ['c', 'x'],
    ] as const)
      await set(source, destination)
    const late: Promise<unknown>[] = []
    await store.moveTo(moved.url, {
      onProgress: ({ step }) => {
        // In the queue before the switch: the mover has swept, and does not see them.
        if (step !== 'switching') return
        late.push(set('x', 'd'), store.nodes.update('x', { started: true }), set('x', 'c'), set('x', 'e'))
      },
    })
    await Promise.all(late)
    // There is something to be heeded, and rows that must not be read.
    expect(await moved.ask('SELECT through FROM path_cache_marks WHERE NOT swept')).toEqual([{ through: 'x' }])
    expect(await moved.ask('SELECT 1 FROM path_cache')).toHaveLength(6)
    const alive = async () => (await pathCache.list()).map((path) => `${path.source} ${path.destination}`)
    expect(await alive()).toEqual(['a b', 'x c', 'x e'])
    for (const key of [pathKey('x', 'b'), pathKey('c', 'x'), pathKey('x', 'd')])
      expect(await pathCache.get(key)).toBeUndefined()
    expect(await pathCache.get(pathKey('x', 'c'))).toEqual(bundle('x', 'c'))
    await set('x', 'b')
    await pathCache.sweep()
    expect(await moved.ask('SELECT 1 FROM path_cache')).toHaveLength(4)
    expect(await alive()).toEqual(['a b', 'x b', 'x c', 'x e'])
    // A change of the topology drops the same paths there.
    await store.nodes.update('relay', { started: true })
    expect(await alive()).toEqual([])
  })

  test.each(['topology', 'manual'] as const)("invalidation: '%s' holds there, too", async (invalidation) => {
    await using moved = await moving({ pathCache: { invalidation } })
    const { store } = moved
    await store.nodes.create(node('relay'))
    await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 1_000 })
    await store.moveTo(moved.url)
    expect((await store.pathCache.stats()).invalidation).toBe(invalidation)
    expect(await store.pathCache.count()).toBe(1)
    await store.nodes.delete('relay')
    expect(await store.pathCache.count()).toBe(invalidation === 'manual' ? 1 : 0)
    await using there = await openStorage(moved.direct)
    expect((await there.pathCache.stats()).invalidation).toBe(invalidation)
  })

  test('a computation that began before is answered, and not stored: what it heeded is not known there', async () => {
    await using moved = await moving()
    const { pathCache } = moved.store
    const [begun, end] = [gate(), gate()]
    const computing = pathCache.resolve(pathKey('a', 'b'), async () => {
      begun.open()
      await end.opened
      return bundle('a', 'b')
    })
    await begun.opened
    await moved.store.moveTo(moved.url)
    await pathCache.invalidate({ source: 'a' })
    end.open()
    expect((await computing).bundle).toEqual(bundle('a', 'b'))
    expect(await pathCache.get(pathKey('a', 'b'))).toBeUndefined()
    expect((await pathCache.resolve(pathKey('a', 'b'), async () => bundle('a', 'b'))).origin).toBe('computed')
    expect((await pathCache.resolve(pathKey('a', 'b'), async () => bundle('a', 'b'))).origin).toBe('hit')
  })

  test('computations that end in the middle of the switch are answered', async () => {
    await using moved = await moving()
    const { pathCache } = moved.store
    const held = await moved.inTheSwitch()
    const resolved = ['b', 'c', 'd'].map((to) => pathCache.resolve(pathKey('a', to), async () => bundle('a', to)))
    await new Promise((resolve) => setTimeout(resolve, 1))
    held.open()
    expect((await Promise.all(resolved)).map(({ origin }) => origin)).toEqual(['computed', 'computed', 'computed'])
    await held.moved
    for (const to of ['b', 'c', 'd'])
      expect((await pathCache.resolve(pathKey('a', to), async () => bundle('a', to))).bundle).toEqual(bundle('a', to))
  })

  test('a sweep that is under way goes on there', async () => {
    await using moved = await moving()
    const { pathCache } = moved.store
    const fill = async () => {
      await moved.store.nodes.create(node('c'))
      for (const to of ['b', 'c', 'd']) await pathCache.set(pathKey('a', to), bundle('a', to), { ttlSeconds: 1_000 })
    }
    await fill()
    let late: Promise<unknown> = Promise.resolve()
    const held = await moved.inTheSwitch({
      onProgress: ({ step }) => {
        if (step === 'switching') late = moved.store.nodes.update('c', { started: true })
      },
    })
    await late
    const sweeping = pathCache.sweep()
    held.open()
    await held.moved
    expect(await sweeping).toMatchObject({ invalidated: 1 })
    await pathCache.sweep()
    expect((await pathCache.list()).map(({ destination }) => destination)).toEqual(['b', 'd'])
    expect((await moved.store.health()).problems).toEqual([])
  })
})
