import { expect, test } from 'vitest'
import type { PathCacheRepository } from '../../../src/index.ts'
import { all, byBytes, expectRefused, IDS_BY_BYTES } from '../../support/expectations.ts'
import { bundle, numbered, pathKey } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const ENDS = ['a', 'b', 'c:d']

/** One entry from each to each, and one that has expired. */
async function fill(pathCache: PathCacheRepository): Promise<void> {
  for (const source of ENDS) {
    for (const destination of ENDS) await pathCache.set(pathKey(source, destination), bundle(source, destination))
  }
}

const keysOf = async (entries: Promise<{ cacheKey: string }[]>): Promise<string[]> =>
  (await entries).map(({ cacheKey }) => cacheKey)

export function selecting({ run }: Setting): void {
  test('list gives the entries in the order of the bytes of their cache keys', () =>
    run(async ({ pathCache }) => {
      for (const id of IDS_BY_BYTES.toReversed()) await pathCache.set(pathKey(id, id), bundle(id, id))
      const expected = IDS_BY_BYTES.map((id) => `${id}:${id}:3`).toSorted(byBytes)
      expect(await keysOf(pathCache.list())).toEqual(expected)
      for (const [index, after] of expected.entries()) {
        expect(await keysOf(pathCache.list({ after, limit: 2 }))).toEqual(expected.slice(index + 1, index + 3))
      }
      expect(await keysOf(all(pathCache.iterate()))).toEqual(expected)
    }))

  test('list, iterate and count take a source, a destination, or both', () =>
    run(async ({ pathCache }) => {
      await fill(pathCache)
      const cases = [
        [{}, 9],
        [{ source: 'a' }, 3],
        [{ destination: 'c:d' }, 3],
        [{ source: 'c:d', destination: 'b' }, 1],
        [{ source: 'z' }, 0],
        [{ source: undefined, destination: undefined }, 9],
      ] as const
      for (const [filter, expected] of cases) {
        const listed = await pathCache.list(filter)
        expect(listed).toHaveLength(expected)
        expect(await all(pathCache.iterate(filter))).toEqual(listed)
        expect(await pathCache.count(filter)).toBe(expected)
      }
      const [only] = await pathCache.list({ source: 'c:d', destination: 'b' })
      expect(only).toMatchObject({ cacheKey: 'c%3Ad:b:3', bundle: bundle('c:d', 'b') })
      expect(await keysOf(pathCache.list({ source: 'a', after: 'a:b:3' }))).toEqual(['a:c%3Ad:3'])
    }))

  test('list gives 100 unless limit says so; iterate gives all', () =>
    run(async ({ pathCache }) => {
      const many = Array.from({ length: 1_234 }, (_, index) => {
        const destination = numbered('n', index)
        return { key: pathKey('a', destination), bundle: bundle('a', destination) }
      })
      await pathCache.setMany(many)
      expect(await pathCache.list()).toHaveLength(100)
      expect(await keysOf(all(pathCache.iterate({ source: 'a' })))).toEqual(
        many.map(({ key }) => `a:${key.destination}:3`),
      )
      for (const limit of [0, 10_001]) await expectRefused(pathCache.list({ limit }), 'limit')
    }))

  test('list, iterate and count refuse a filter that they do not know', () =>
    run(async ({ pathCache }) => {
      const unknown = { k: 3 } as object
      await expectRefused(pathCache.list(unknown), 'k')
      await expectRefused(all(pathCache.iterate(unknown)), 'k')
      await expectRefused(pathCache.count(unknown), 'k')
      await expectRefused(pathCache.count({ source: '' }), 'source')
    }))

  test('invalidate drops what matches, expired or not, and returns how many', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(pathKey('a', 'old'), bundle('a', 'old'), { ttlSeconds: 1 })
      clock.advance(1_000)
      await fill(pathCache)
      expect(await pathCache.invalidate({ source: 'a', destination: 'b' })).toBe(1)
      expect(await pathCache.invalidate({ source: 'a', destination: 'b' })).toBe(0)
      expect(await pathCache.invalidate({ source: 'a' })).toBe(3)
      expect(await pathCache.invalidate({ destination: 'c:d', source: undefined })).toBe(2)
      expect(await keysOf(pathCache.list())).toEqual(['b:a:3', 'b:b:3', 'c%3Ad:a:3', 'c%3Ad:b:3'])
    }))

  test('invalidate refuses an empty filter, and what it does not know, and drops nothing', () =>
    run(async ({ pathCache }) => {
      await fill(pathCache)
      await expectRefused(pathCache.invalidate({}), '')
      await expectRefused(pathCache.invalidate({ source: undefined }), '')
      await expectRefused(pathCache.invalidate(undefined as never), '')
      await expectRefused(pathCache.invalidate({ source: 'a', k: 1 } as object), 'k')
      expect(await pathCache.count()).toBe(9)
    }))

  test('clear drops everything and returns how many there were', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(pathKey('a', 'old'), bundle('a', 'old'), { ttlSeconds: 1 })
      clock.advance(1_000)
      await fill(pathCache)
      expect(await pathCache.clear()).toBe(10)
      expect(await pathCache.clear()).toBe(0)
      expect(await pathCache.count()).toBe(0)
    }))

  test('stats counts entries, expired ones, hits and misses', () =>
    run(async ({ pathCache, clock }) => {
      const counters = { hits: 0, misses: 0, staleHits: 0, computations: 0, joined: 0, evictions: 0 }
      const none = { entries: 0, expired: 0, invalidation: 'topology', ...counters }
      expect(await pathCache.stats()).toEqual(none)
      await fill(pathCache)
      await pathCache.set(pathKey('a', 'old'), bundle('a', 'old'), { ttlSeconds: 1 })
      clock.advance(1_000)
      await pathCache.get(pathKey('a', 'b'))
      await pathCache.get(pathKey('a', 'a'))
      await pathCache.get(pathKey('a', 'old'))
      expect(await pathCache.stats()).toEqual({ ...none, entries: 10, expired: 1, hits: 2, misses: 1 })
    }))
}
