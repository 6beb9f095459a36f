/**
 * The tests of SCION's path databases, in our words: a path that is known is found; a newer one takes the place of
 * an older one; what has expired is gone, at the very moment; all of it in a transaction as without.
 */
import { expect, test } from 'vitest'
import { all } from '../../support/expectations.ts'
import { bundle, pathKey } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const KEY = pathKey('1-ff00:0:110', '1-ff00:0:133')
const OLD = bundle(KEY.source, KEY.destination, 10)
const NEW = bundle(KEY.source, KEY.destination, 20)

export function pathStore({ run }: Setting): void {
  test('a path that is inserted is found, with its times', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(KEY, OLD, { ttlSeconds: 60 })
      const found = await pathCache.getEntry(KEY)
      expect(found).toMatchObject({ ...KEY, bundle: OLD, createdAt: clock.now(), expiresAt: clock.after(60_000) })
    }))

  test('a newer one takes its place, and there is one', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(KEY, OLD, { ttlSeconds: 60 })
      clock.advance(1_000)
      await pathCache.set(KEY, NEW, { ttlSeconds: 60 })
      expect(await pathCache.getEntry(KEY)).toMatchObject({ bundle: NEW, expiresAt: clock.after(60_000) })
      expect(await pathCache.count()).toBe(1)
    }))

  test('so does one that was found by an older clock, and one that expires sooner: the last one counts', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(KEY, NEW, { ttlSeconds: 60 })
      clock.advance(-30_000)
      await pathCache.set(KEY, OLD, { ttlSeconds: 10 })
      expect(await pathCache.getEntry(KEY)).toMatchObject({ bundle: OLD, expiresAt: clock.after(10_000) })
      clock.advance(10_000)
      expect(await pathCache.get(KEY)).toBeUndefined()
    }))

  test('it is there to the last millisecond, and gone with the next one', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(KEY, OLD, { ttlSeconds: 60 })
      await pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 60.001 })
      clock.advance(59_999)
      expect(await pathCache.get(KEY)).toEqual(OLD)
      expect(await pathCache.deleteExpired()).toBe(0)
      clock.advance(1)
      expect(await pathCache.get(KEY)).toBeUndefined()
      expect(await pathCache.deleteExpired()).toBe(1)
      expect(await pathCache.count()).toBe(1)
    }))

  test('by its ends, one of them or both, in the order of the keys', () =>
    run(async ({ pathCache }) => {
      for (const [source, destination] of [
        ['b', 'c'],
        ['a', 'c'],
        ['a', 'b'],
      ] as const)
        await pathCache.set(pathKey(source, destination), bundle(source, destination))
      const found = async (filter: object): Promise<string[]> =>
        (await all(pathCache.iterate(filter))).map(({ source, destination }) => source + destination)
      expect(await found({})).toEqual(['ab', 'ac', 'bc'])
      expect(await found({ source: 'a' })).toEqual(['ab', 'ac'])
      expect(await found({ destination: 'c' })).toEqual(['ac', 'bc'])
      expect(await found({ source: 'a', destination: 'c' })).toEqual(['ac'])
      expect(await found({ source: 'c' })).toEqual([])
    }))

  test('what a transaction inserted that is rolled back was never there; what it replaced is as it was', () =>
    run(async ({ pathCache, transaction }) => {
      await pathCache.set(KEY, OLD)
      const undone = new Error('undone')
      const work = transaction(async (tx) => {
        await tx.pathCache.set(KEY, NEW)
        await tx.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
        expect(await tx.pathCache.get(KEY)).toEqual(NEW)
        throw undone
      })
      await expect(work).rejects.toBe(undone)
      expect(await pathCache.get(KEY)).toEqual(OLD)
      expect(await pathCache.count()).toBe(1)
    }))

  test('what it committed is there afterwards', () =>
    run(async ({ pathCache, transaction }) => {
      await transaction(async (tx) => void (await tx.pathCache.set(KEY, NEW)))
      expect(await pathCache.get(KEY)).toEqual(NEW)
    }))
}
