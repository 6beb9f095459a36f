import { expect, test } from 'vitest'
import type { PathBundle, PathCacheRepository } from '../../../src/index.ts'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { bundle, numbered, pathKey } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'
import { held, unexpected } from './held.ts'

const A_B = pathKey('a', 'b')
const OLD = bundle('a', 'b', 1)
const NEW = bundle('a', 'b', 2)
const STALE = { staleSeconds: 60 }

/** Waits for what nobody waits for: a refreshed entry, or the end of a failing computation. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((done) => setImmediate(done))
}
const refreshed = (pathCache: PathCacheRepository): Promise<void> =>
  until(async () => (await pathCache.get(A_B)) !== undefined)

/** On the store alone: in a transaction it would hold the writer. */
export function resolving({ run, inTransaction }: Setting): void {
  if (inTransaction) {
    test('resolve in a transaction is MISUSE', () =>
      run(({ pathCache }) => expectCode(pathCache.resolve(A_B, unexpected), 'MISUSE')))
    return
  }

  test('resolve says where a bundle came from and when it expires', () =>
    run(async ({ pathCache, clock }) => {
      const expiresAt = clock.after(2_000)
      const first = await pathCache.resolve(A_B, () => OLD, { ttlSeconds: 2, ...STALE })
      expect(first).toEqual({ bundle: OLD, origin: 'computed', expiresAt })
      clock.advance(1_999)
      expect(await pathCache.resolve(A_B, unexpected)).toEqual({ bundle: OLD, origin: 'hit', expiresAt })
      expect(await pathCache.resolve(A_B, unexpected, STALE)).toEqual({ bundle: OLD, origin: 'hit', expiresAt })
      clock.advance(1)
      expect(await pathCache.resolve(A_B, () => NEW, STALE)).toEqual({ bundle: OLD, origin: 'stale', expiresAt })
      await refreshed(pathCache)
      const second = { bundle: NEW, origin: 'hit', expiresAt: clock.after(30_000) }
      expect(await pathCache.resolve(A_B, unexpected, STALE)).toEqual(second)
      expect(await pathCache.stats()).toMatchObject({ hits: 4, staleHits: 1, computations: 2 })
    }))

  test('an old bundle is served to the millisecond of staleSeconds, and to nobody who does not ask for it', () =>
    run(async ({ pathCache, clock }) => {
      const { compute, reject, begun, calls } = held()
      await pathCache.set(A_B, OLD, { ttlSeconds: 1 })
      clock.advance(60_999)
      expect(await pathCache.get(A_B)).toBeUndefined()
      expect(await pathCache.resolve(A_B, compute, STALE)).toMatchObject({ bundle: OLD, origin: 'stale' })
      await begun
      const waiting = pathCache.resolve(A_B, unexpected)
      clock.advance(1)
      const late = pathCache.resolve(A_B, unexpected, STALE)
      const failure = new Error('no path')
      reject(failure)
      await expect(waiting, 'it waits for the computation that is under way').rejects.toBe(failure)
      await expect(late).rejects.toThrow()
      expect(calls()).toBe(1)
    }))

  test('1,000 callers get the old bundle at once, while one computation is made', () =>
    run(async ({ pathCache, clock }) => {
      const { compute, resolve, calls } = held()
      await pathCache.set(A_B, OLD, { ttlSeconds: 1 })
      clock.advance(1_000)
      const callers = Array.from({ length: 1_000 }, () => pathCache.resolve(A_B, compute, STALE))
      for (const answer of await Promise.all(callers)) expect(answer).toMatchObject({ bundle: OLD, origin: 'stale' })
      resolve(NEW)
      await refreshed(pathCache)
      expect(calls()).toBe(1)
      expect(await pathCache.get(A_B)).toEqual(NEW)
      expect(await pathCache.stats()).toMatchObject({ staleHits: 1_000, computations: 1, misses: expect.any(Number) })
    }))

  test('when a computation fails the old bundle goes on serving, and the next to ask tries again', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(A_B, OLD, { ttlSeconds: 1 })
      clock.advance(1_000)
      let failures = 0
      const compute = async (): Promise<PathBundle> => {
        failures++
        throw new Error('no path')
      }
      for (let attempt = 1; attempt <= 3; attempt++) {
        expect(await pathCache.resolve(A_B, compute, STALE)).toMatchObject({ bundle: OLD, origin: 'stale' })
        await until(async () => failures === attempt)
        // It has ended, too.
        for (let turn = 0; turn < 10; turn++) await pathCache.count()
      }
      await expect(pathCache.resolve(A_B, compute), 'who wants a new one is told').rejects.toThrow('no path')
      await expect(pathCache.getOrCompute(pathKey('a', 'c'), compute, STALE)).rejects.toThrow('no path')
    }))

  test('a computation that takes too long is TIMEOUT for all who wait, is aborted, and is not stored', () =>
    run(async ({ pathCache }) => {
      const { compute, resolve, begun } = held()
      const callers = Array.from({ length: 3 }, () => pathCache.resolve(A_B, compute, { computeTimeoutMs: 20 }))
      const refused = callers.map((caller) => expectCode(caller, 'TIMEOUT'))
      const signal = await begun
      await Promise.all(refused)
      expect(signal.aborted).toBe(true)
      expect(signal.reason).toMatchObject({ code: 'TIMEOUT' })
      resolve(OLD)
      expect(await pathCache.getOrCompute(A_B, () => NEW, { computeTimeoutMs: 60_000 })).toEqual(NEW)
      expect(await pathCache.get(A_B)).toEqual(NEW)
    }))

  test('a computation with a time limit is aborted too when the last caller has gone', () =>
    run(async ({ pathCache }) => {
      const { compute, begun } = held()
      const controller = new AbortController()
      const options = { signal: controller.signal, computeTimeoutMs: 60_000 }
      const asked = pathCache.resolve(A_B, compute, options)
      const signal = await begun
      controller.abort(new Error('too slow'))
      await expect(asked).rejects.toThrow('too slow')
      expect(signal.reason).toEqual(new Error('too slow'))
    }))

  test('whoever lost patience before asking gets no old bundle either', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.set(A_B, OLD, { ttlSeconds: 1 })
      clock.advance(1_000)
      const asked = pathCache.resolve(A_B, unexpected, { ...STALE, signal: AbortSignal.abort(new Error('gone')) })
      await expect(asked).rejects.toThrow('gone')
    }))

  test('jitter shortens each life at random, by that part at most', () =>
    run(async ({ pathCache, clock }) => {
      const lives = new Set<number>()
      for (let index = 0; index < 50; index++) {
        const options = { ttlSeconds: 100, jitter: 0.25 }
        const { expiresAt } = await pathCache.resolve(pathKey('a', numbered('n', index)), () => OLD, options)
        const life = expiresAt.getTime() - clock.now().getTime()
        expect(life).toBeGreaterThanOrEqual(75_000)
        expect(life).toBeLessThanOrEqual(100_000)
        lives.add(life)
      }
      expect(lives.size).toBeGreaterThan(10)
    }))

  test('resolve refuses what it does not know', () =>
    run(async ({ pathCache }) => {
      const refused = { staleSeconds: -1, computeTimeoutMs: 0, jitter: 1.5, stale: 1 }
      for (const [name, value] of Object.entries(refused))
        await expectRefused(pathCache.resolve(A_B, unexpected, { [name]: value }), name)
    }))
}
