import { expect, test } from 'vitest'
import type { PathCacheRepository } from '../../../src/index.ts'
import { expectCode } from '../../support/expectations.ts'
import { bundle, node, numbered, pathKey, policy } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const NOTHING = { expired: 0, invalidated: 0, evicted: 0 }

const fill = (pathCache: PathCacheRepository, count: number, ttl: (index: number) => number): Promise<void> =>
  pathCache.setMany(
    Array.from({ length: count }, (_, index) => {
      const to = numbered('to', index)
      return { key: pathKey('a', to), bundle: bundle('a', to), ttlSeconds: ttl(index) }
    }),
  )

const keys = async (pathCache: PathCacheRepository): Promise<string[]> =>
  (await pathCache.list({ limit: 1_000 })).map(({ destination }) => destination)

export function sweeping({ run, inTransaction }: Setting): void {
  if (inTransaction) {
    test('sweep in a transaction is MISUSE', () => run(({ pathCache }) => expectCode(pathCache.sweep(), 'MISUSE')))
    return
  }

  test('sweep deletes what has expired, and nothing else', () =>
    run(async ({ pathCache, clock }) => {
      await fill(pathCache, 250, (index) => (index < 230 ? 1 : 60))
      expect(await pathCache.sweep()).toEqual(NOTHING)
      clock.advance(1_000)
      expect(await pathCache.sweep()).toEqual({ ...NOTHING, expired: 230 })
      expect(await pathCache.stats()).toMatchObject({ entries: 20, expired: 0 })
    }))

  test('sweep leaves what may still serve as an old answer', () =>
    run(async ({ pathCache, clock }) => {
      await fill(pathCache, 2, () => 1)
      await pathCache.resolve(pathKey('a', 'b'), () => bundle('a', 'b'), { staleSeconds: 60, ttlSeconds: 1 })
      clock.advance(60_999)
      expect(await pathCache.sweep()).toEqual(NOTHING)
      clock.advance(1)
      expect(await pathCache.sweep()).toEqual({ ...NOTHING, expired: 3 })
    }))

  test('sweep deletes what has been invalidated, and nothing else', () =>
    run(async ({ nodes, policies, pathCache }) => {
      await nodes.createMany([node('relay'), node('to-0001'), node('elsewhere')])
      await fill(pathCache, 350, () => 60)
      await nodes.delete('elsewhere')
      expect(await pathCache.sweep()).toEqual(NOTHING)
      await nodes.delete('to-0001')
      expect(await pathCache.sweep()).toEqual({ ...NOTHING, invalidated: 1 })
      expect(await pathCache.sweep()).toEqual(NOTHING)
      await nodes.delete('relay')
      await pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
      expect(await pathCache.sweep()).toEqual({ ...NOTHING, invalidated: 349 })
      expect(await keys(pathCache)).toEqual(['b'])
      await policies.create(policy('p'))
      expect(await pathCache.sweep()).toEqual({ ...NOTHING, invalidated: 1 })
      expect((await pathCache.stats()).entries).toBe(0)
    }))

  test('what is cleared is deleted by the sweep, and what comes after it stays', () =>
    run(async ({ pathCache }) => {
      await fill(pathCache, 300, () => 60)
      expect(await pathCache.clear()).toBe(300)
      expect(await pathCache.stats()).toMatchObject({ entries: 300 })
      await fill(pathCache, 2, () => 60)
      expect(await pathCache.clear()).toBe(2)
      await fill(pathCache, 1, () => 60)
      expect(await pathCache.sweep()).toEqual({ ...NOTHING, invalidated: 299 })
      expect(await keys(pathCache)).toEqual(['to-0000'])
    }))

  test('after a sweep, what changes counts again, and what was stored before it stays valid', () =>
    run(async ({ nodes, pathCache }) => {
      await nodes.createMany([node('to-0000'), node('to-0001')])
      for (const [round, nodeId] of ['to-0000', 'to-0001'].entries()) {
        await fill(pathCache, 3, () => 60)
        await nodes.update(nodeId, { started: true })
        await pathCache.set(pathKey('a', `after-${round}`), bundle('a', 'x'))
        await pathCache.sweep()
        await pathCache.sweep()
        expect(await keys(pathCache)).not.toContain(nodeId)
        expect(await keys(pathCache)).toContain(`after-${round}`)
      }
      expect(await keys(pathCache)).toEqual(['after-0', 'after-1', 'to-0000', 'to-0002'])
    }))

  test('above maxEntries those that expire first are evicted, and counted', () =>
    run(
      async ({ pathCache }) => {
        await fill(pathCache, 10, (index) => 100 - index)
        expect(await pathCache.sweep()).toEqual(NOTHING)
        await fill(pathCache, 260, (index) => 1_000 - index)
        expect((await pathCache.stats()).entries, 'between two sweeps there may be more').toBe(260)
        expect(await pathCache.sweep()).toEqual({ ...NOTHING, evicted: 250 })
        expect(await keys(pathCache)).toEqual(Array.from({ length: 10 }, (_, index) => numbered('to', index)))
        expect(await pathCache.stats()).toMatchObject({ entries: 10, evictions: 250 })
      },
      { options: { pathCache: { maxEntries: 10 } } },
    ))

  test('it is swept by itself', () =>
    run(
      async ({ pathCache, clock }) => {
        await fill(pathCache, 3, () => 1)
        clock.advance(1_000)
        while ((await pathCache.stats()).entries > 0) await new Promise((done) => setTimeout(done, 10))
      },
      { options: { pathCache: { sweepSeconds: 0.1 } } },
    ))

  test('a reader that meets what is invalid wakes it', () =>
    run(
      async ({ nodes, pathCache }) => {
        await nodes.create(node('relay'))
        await fill(pathCache, 3, () => 60)
        await nodes.delete('relay')
        expect(await pathCache.get(pathKey('a', 'to-0000'))).toBeUndefined()
        while ((await pathCache.stats()).entries > 0) await new Promise((done) => setTimeout(done, 10))
      },
      { options: { pathCache: { sweepSeconds: 86_400 } } },
    ))
}
