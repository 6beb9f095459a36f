import { expect, test } from 'vitest'
import type { CachedPath, PathBundle, PathKey } from '../../../src/index.ts'
import { expectRefused } from '../../support/expectations.ts'
import { bundle, pathKey } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const A_B = pathKey('a', 'b')

/** A bundle as an application stores it, under an interface of its own. */
interface ScoredBundle extends PathBundle {
  readonly generated_at: number
  readonly stats: { readonly calc_latency_ms: number; readonly policy_filtered: number }
}

export function entries({ run }: Setting): void {
  test('set stores a bundle, get gives it back, getEntry with its times', () =>
    run(async ({ pathCache, clock }) => {
      const stored = await pathCache.set(A_B, bundle('a', 'b'))
      const expected: CachedPath = {
        cacheKey: 'a:b:3',
        ...A_B,
        bundle: bundle('a', 'b'),
        createdAt: clock.now(),
        expiresAt: clock.after(30_000),
      }
      expect(stored).toEqual(expected)
      expect(await pathCache.get(A_B)).toEqual(bundle('a', 'b'))
      expect(await pathCache.getEntry(A_B)).toEqual(expected)
    }))

  test('get and getEntry give undefined for what is not there', () =>
    run(async ({ pathCache }) => {
      await pathCache.set(A_B, bundle('a', 'b'))
      for (const key of [pathKey('a', 'b', 2), pathKey('b', 'a'), pathKey('A', 'b'), pathKey('a', 'b ')]) {
        expect(await pathCache.get(key)).toBeUndefined()
        expect(await pathCache.getEntry(key)).toBeUndefined()
      }
    }))

  test('set puts a bundle in place of the one that is there, times and all', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(A_B, bundle('a', 'b', 14), { ttlSeconds: 100 })
      clock.advance(1_000)
      await pathCache.set(A_B, bundle('a', 'b', 15), { ttlSeconds: 5 })
      const entry = await pathCache.getEntry(A_B)
      expect(entry).toMatchObject({ createdAt: clock.now(), expiresAt: clock.after(5_000) })
      expect(entry?.bundle).toEqual(bundle('a', 'b', 15))
      expect(await pathCache.count()).toBe(1)
    }))

  test.each<[string, PathKey, string]>([
    ['plain ids', pathKey('gw-1', 'gw-9'), 'gw-1:gw-9:3'],
    ['MACs', pathKey('02:ca:fe', '02:ba:be', 1), '02%3Aca%3Afe:02%3Aba%3Abe:1'],
    ['IPv6', pathKey('1::2', '3:4::5'), '1%3A%3A2:3%3A4%3A%3A5:3'],
    ['percent signs', pathKey('100%', '%3A', 7), '100%25:%253A:7'],
    ['others, as they are', pathKey('ä \u{1f600}/?', '"\'', 1000), 'ä \u{1f600}/?:"\':1000'],
  ])('the cache key escapes %% and : in the ids: %s', (_, key, cacheKey) =>
    run(async ({ pathCache }) => {
      const stored = await pathCache.set(key, bundle(key.source, key.destination))
      expect(stored.cacheKey).toBe(cacheKey)
      expect(await pathCache.list()).toEqual([stored])
      expect(await pathCache.get(key)).toEqual(bundle(key.source, key.destination))
    }),
  )

  test('keys that would be the same without escaping are not', () =>
    run(async ({ pathCache }) => {
      const keys = [
        pathKey('1::2', '3:4::5'),
        pathKey('1::2:3', '4::5'),
        pathKey('1::2:3:4', ':5'),
        pathKey('a%3Ab', 'c'),
        pathKey('a:b', 'c'),
        pathKey('a', 'b:c'),
        pathKey('a', 'b', 11),
        pathKey('a', 'b:1', 1),
      ]
      for (const [index, key] of keys.entries()) await pathCache.set(key, bundle('x', 'y', index))
      for (const [index, key] of keys.entries()) expect(await pathCache.get(key)).toEqual(bundle('x', 'y', index))
      expect(await pathCache.count()).toBe(keys.length)
    }))

  test('a bundle comes back under an interface of the application', () =>
    run(async ({ pathCache }) => {
      const scored: ScoredBundle = {
        ...bundle('a', 'b'),
        primary: [{ nodes: ['a', 'b'], total_weight: 1.5, path_id: 'p', disjoint_group: 0 }],
        generated_at: 1_762_300_800.123456,
        stats: { calc_latency_ms: 27.4, policy_filtered: 5 },
      }
      await pathCache.set(A_B, scored)
      const read = await pathCache.get<ScoredBundle>(A_B)
      expect(read?.stats.policy_filtered).toBe(5)
      expect(read).toEqual(scored)
    }))

  test.each<[string, object]>([
    ['no alternatives', { alternatives: undefined }],
    ['no path', { primary: [] }],
    ['a path of one node', { primary: [{ nodes: ['a'] }] }],
    ['a path of no node', { primary: [{ nodes: [] }] }],
    [
      'nested properties of its own',
      { extra: { a: [1, null, true, { b: 'ä\u{1f600}\u2028' }], '': 0, 'odd name': '' } },
    ],
    ['numbers of all sizes', { numbers: [0, -1, 1e-7, 5e-324, 1.7976931348623157e308, 2 ** 53, 0.1 + 0.2] }],
    ['names like those of Object.prototype', JSON.parse('{"__proto__":{"a":1},"constructor":1,"toString":"x"}')],
  ])('a bundle comes back as it was given: %s', (_, more) =>
    run(async ({ pathCache }) => {
      const given = { ...bundle('a', 'b') }
      for (const [name, value] of Object.entries(more)) {
        Object.defineProperty(given, name, { value, enumerable: true, configurable: true, writable: true })
      }
      await pathCache.set(A_B, given)
      const read = await pathCache.get(A_B)
      expect(read).toEqual(given)
      expect(JSON.stringify(read)).toBe(JSON.stringify(given))
      expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
    }),
  )

  test('what a caller changes after set does not reach the store', () =>
    run(async ({ pathCache }) => {
      const nodes = ['a', 'b']
      const given = { source: 'a', destination: 'b', primary: [{ nodes }] }
      const setting = pathCache.set(A_B, given)
      nodes.push('intruder')
      await setting
      expect((await pathCache.get(A_B))?.primary).toEqual([{ nodes: ['a', 'b'] }])
      const read = await pathCache.get(A_B)
      Object.assign(read ?? {}, { source: 'intruder' })
      expect((await pathCache.get(A_B))?.source).toBe('a')
    }))

  test('setMany stores all, in order: of two with the same key the later one stays', () =>
    run(async ({ pathCache, clock }) => {
      const answer = await pathCache.setMany([
        { key: A_B, bundle: bundle('a', 'b', 1) },
        { key: pathKey('a', 'c'), bundle: bundle('a', 'c'), ttlSeconds: 5 },
        { key: A_B, bundle: bundle('a', 'b', 2), ttlSeconds: undefined },
      ])
      expect(answer).toBeUndefined()
      expect(await pathCache.get(A_B)).toEqual(bundle('a', 'b', 2))
      expect((await pathCache.getEntry(A_B))?.expiresAt).toEqual(clock.after(30_000))
      expect((await pathCache.getEntry(pathKey('a', 'c')))?.expiresAt).toEqual(clock.after(5_000))
      await pathCache.setMany([])
      expect(await pathCache.count()).toBe(2)
    }))

  test('setMany takes more than one turn of the event loop holds', () =>
    run(async ({ pathCache }) => {
      const many = Array.from({ length: 1_200 }, (_, index) => {
        const destination = `b${index}`
        return { key: pathKey('a', destination), bundle: bundle('a', destination) }
      })
      await pathCache.setMany(many)
      expect(await pathCache.count()).toBe(1_200)
    }))

  test('setMany stores none if one is refused, and says which', () =>
    run(async ({ pathCache }) => {
      const good = { key: A_B, bundle: bundle('a', 'b') }
      const refused = (entry: unknown, ...paths: string[]) =>
        expectRefused(pathCache.setMany([good, entry as typeof good]), ...paths)
      await refused({ ...good, key: pathKey('a', '') }, '[1].key.destination')
      await refused({ ...good, key: { ...A_B, k: 0, extra: 1 } }, '[1].key.k', '[1].key.extra')
      await refused({ ...good, ttlSeconds: 0 }, '[1].ttlSeconds')
      await refused({ ...good, extra: 1 }, '[1].extra')
      await refused(
        { ...good, bundle: { ...good.bundle, primary: [{ nodes: ['a', 7] }] } },
        '[1].bundle.primary[0].nodes[1]',
      )
      await refused({ bundle: good.bundle }, '[1].key')
      await refused({ key: good.key }, '[1].bundle')
      await refused(undefined, '[1]')
      await expectRefused(pathCache.setMany(good as never), '')
      expect(await pathCache.count()).toBe(0)
    }))

  test('set says what it refuses', () =>
    run(async ({ pathCache }) => {
      const good = bundle('a', 'b')
      const refused = (given: unknown, ...paths: string[]) =>
        expectRefused(pathCache.set(A_B, given as never), ...paths)
      await refused(undefined, 'bundle')
      await refused([], 'bundle')
      await refused({}, 'bundle.source', 'bundle.destination', 'bundle.primary')
      await refused({ ...good, primary: {} }, 'bundle.primary')
      await refused({ ...good, primary: [{}, { nodes: ['a'] }] }, 'bundle.primary[0].nodes')
      await refused({ ...good, alternatives: [{ nodes: ['a', ''] }] }, 'bundle.alternatives[0].nodes[1]')
      await refused(
        { ...good, primary: [{ nodes: ['a'], total_weight: Number.NaN }] },
        'bundle.primary[0].total_weight',
      )
      await refused({ ...good, at: new Date() }, 'bundle.at')
      await expectRefused(pathCache.set({ ...A_B, k: 1_001 }, good), 'k')
      await expectRefused(pathCache.set({ source: 'a', destination: 'b' } as PathKey, good), 'k')
      await expectRefused(pathCache.set(undefined as never, good), '')
      await expectRefused(pathCache.set(A_B, good, { ttl: 5 } as object), 'ttl')
      expect(await pathCache.count()).toBe(0)
    }))

  test('delete says whether there was such an entry', () =>
    run(async ({ pathCache }) => {
      await pathCache.set(A_B, bundle('a', 'b'))
      await pathCache.set(pathKey('a', 'b', 2), bundle('a', 'b'))
      expect(await pathCache.delete(A_B)).toBe(true)
      expect(await pathCache.delete(A_B)).toBe(false)
      expect(await pathCache.get(A_B)).toBeUndefined()
      expect(await pathCache.count()).toBe(1)
    }))
}
