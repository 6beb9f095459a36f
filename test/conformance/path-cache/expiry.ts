import { expect, test } from 'vitest'
import { all, expectRefused } from '../../support/expectations.ts'
import { bundle, pathKey } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const A_B = pathKey('a', 'b')

export function expiry({ run }: Setting): void {
  test('an entry lives to the millisecond: 30 s by default', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(A_B, bundle('a', 'b'))
      clock.advance(29_999)
      expect(await pathCache.get(A_B)).toEqual(bundle('a', 'b'))
      expect(await pathCache.getEntry(A_B)).toBeDefined()
      expect(await pathCache.list()).toHaveLength(1)
      expect(await all(pathCache.iterate())).toHaveLength(1)
      expect(await pathCache.count()).toBe(1)
      clock.advance(1)
      expect(await pathCache.get(A_B)).toBeUndefined()
      expect(await pathCache.getEntry(A_B)).toBeUndefined()
      expect(await pathCache.list()).toEqual([])
      expect(await all(pathCache.iterate())).toEqual([])
      expect(await pathCache.count()).toBe(0)
      expect(await pathCache.delete(A_B), 'nobody could see it any more').toBe(false)
    }))

  test.each([
    [5, 5_000],
    [0.25, 250],
    [0.0015, 2],
    [0.0001, 1],
    [3_155_760_000, 3_155_760_000_000],
  ])('ttlSeconds %d is %d ms', (ttlSeconds, milliseconds) =>
    run(async ({ pathCache, clock }) => {
      const { expiresAt } = await pathCache.set(A_B, bundle('a', 'b'), { ttlSeconds })
      expect(expiresAt).toEqual(clock.after(milliseconds))
      clock.advance(milliseconds - 1)
      expect(await pathCache.getEntry(A_B)).toMatchObject({ expiresAt })
      clock.advance(1)
      expect(await pathCache.getEntry(A_B)).toBeUndefined()
    }),
  )

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 3_155_760_001, '30'])('ttlSeconds %s is refused', (given) =>
    run(async ({ pathCache }) => {
      await expectRefused(pathCache.set(A_B, bundle('a', 'b'), { ttlSeconds: given as number }), 'ttlSeconds')
      expect(await pathCache.count()).toBe(0)
    }),
  )

  test('the store says how long an entry lives where the call does not', () =>
    run(
      async ({ pathCache, clock }) => {
        await pathCache.set(A_B, bundle('a', 'b'))
        await pathCache.set(pathKey('a', 'c'), bundle('a', 'c'), { ttlSeconds: 1 })
        await pathCache.setMany([{ key: pathKey('a', 'd'), bundle: bundle('a', 'd') }])
        const times = (await pathCache.list()).map(({ expiresAt }) => expiresAt)
        expect(times).toEqual([clock.after(2_500), clock.after(1_000), clock.after(2_500)])
      },
      { options: { pathCache: { ttlSeconds: 2.5 } } },
    ))

  test('a clock that goes back makes nothing disappear', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(A_B, bundle('a', 'b'), { ttlSeconds: 10 })
      clock.advance(-60_000)
      expect(await pathCache.get(A_B)).toEqual(bundle('a', 'b'))
      clock.advance(69_999)
      expect(await pathCache.get(A_B)).toEqual(bundle('a', 'b'))
      clock.advance(1)
      expect(await pathCache.get(A_B)).toBeUndefined()
    }))

  test('deleteExpired deletes what has expired by then, and nothing else', () =>
    run(async ({ pathCache, clock }) => {
      for (const ttlSeconds of [1, 2, 3, 4])
        await pathCache.set(pathKey('a', 'b', ttlSeconds), bundle('a', 'b'), { ttlSeconds })
      clock.advance(2_000)
      expect(await pathCache.deleteExpired()).toBe(2)
      expect(await pathCache.deleteExpired()).toBe(0)
      expect(await pathCache.deleteExpired({ now: clock.after(999) })).toBe(0)
      expect(await pathCache.deleteExpired({ now: clock.after(1_000) })).toBe(1)
      expect((await pathCache.list()).map(({ k }) => k)).toEqual([4])
      clock.advance(-2_000)
      expect(await pathCache.count(), 'they are gone').toBe(1)
    }))

  test.each([1, 2, 500, undefined])('deleteExpired in batches of %s deletes all', (batchSize) =>
    run(async ({ pathCache, clock }) => {
      const many = Array.from({ length: 7 }, (_, k) => ({ key: pathKey('a', 'b', k + 1), bundle: bundle('a', 'b') }))
      await pathCache.setMany(many)
      await pathCache.set(pathKey('a', 'c'), bundle('a', 'c'), { ttlSeconds: 60 })
      expect(await pathCache.deleteExpired({ now: clock.after(30_000), batchSize })).toBe(7)
      expect(await pathCache.count()).toBe(1)
    }),
  )

  test('deleteExpired refuses what it does not know', () =>
    run(async ({ pathCache }) => {
      await expectRefused(pathCache.deleteExpired({ now: new Date(Number.NaN) }), 'now')
      for (const batchSize of [0, -1, 1.5, 10_001])
        await expectRefused(pathCache.deleteExpired({ batchSize }), 'batchSize')
      await expectRefused(pathCache.deleteExpired({ before: new Date() } as object), 'before')
    }))
}
