import { expect, test, vi } from 'vitest'
import type { PathBundle, PathKey } from '../../../src/index.ts'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { bundle, numbered, pathKey } from '../../support/samples.ts'
import { type Setting, untyped } from '../../support/settings.ts'
import { held, unexpected } from './held.ts'

const A_B = pathKey('a', 'b')
const FOUND = bundle('a', 'b')

/** On the store alone: in a transaction it would hold the writer. */
export function computing({ run, inTransaction }: Setting): void {
  if (inTransaction) {
    test('getOrCompute in a transaction is MISUSE, even where the bundle is there', () =>
      run(async ({ pathCache, transaction }) => {
        await pathCache.set(A_B, FOUND)
        await expectCode(pathCache.getOrCompute(A_B, unexpected), 'MISUSE')
        await transaction((tx) => expectCode(untyped(tx).pathCache.getOrCompute(A_B, unexpected), 'MISUSE'))
        expect(await pathCache.get(A_B)).toEqual(FOUND)
      }))
    return
  }

  test('getOrCompute computes what is not there, stores it, and computes no more', () =>
    run(async ({ pathCache, clock }) => {
      const asked: unknown[] = []
      const compute = (key: PathKey): PathBundle => {
        asked.push(key)
        return FOUND
      }
      expect(await pathCache.getOrCompute(A_B, compute)).toEqual(FOUND)
      expect(asked).toEqual([A_B])
      expect(await pathCache.getEntry(A_B)).toMatchObject({ bundle: FOUND, expiresAt: clock.after(30_000) })
      expect(await pathCache.getOrCompute(A_B, unexpected)).toEqual(FOUND)
    }))

  test('getOrCompute computes again when the bundle has expired, and lets it live as long as it is told', () =>
    run(async ({ pathCache, clock }) => {
      await pathCache.getOrCompute(A_B, () => bundle('a', 'b', 1), { ttlSeconds: 2 })
      clock.advance(1_999)
      expect(await pathCache.getOrCompute(A_B, unexpected)).toEqual(bundle('a', 'b', 1))
      clock.advance(1)
      expect(await pathCache.getOrCompute(A_B, async () => bundle('a', 'b', 2))).toEqual(bundle('a', 'b', 2))
    }))

  test('1,000 callers of one cold key make one computation', () =>
    run(async ({ pathCache }) => {
      const { compute, resolve, begun, calls } = held()
      const callers = Array.from({ length: 1_000 }, () => pathCache.getOrCompute(A_B, compute))
      await begun
      resolve(FOUND)
      expect(new Set(await Promise.all(callers))).toEqual(new Set([FOUND]))
      expect(calls()).toBe(1)
      expect(await pathCache.stats()).toMatchObject({ computations: 1, hits: 0, misses: 1_000, joined: 999 })
    }))

  test('1,000 keys make 1,000 computations', () =>
    run(async ({ pathCache }) => {
      let computations = 0
      const compute = async ({ source, destination }: PathKey): Promise<PathBundle> => {
        computations++
        return bundle(source, destination)
      }
      const keys = Array.from({ length: 1_000 }, (_, index) => pathKey('a', numbered('n', index)))
      const found = await Promise.all(keys.map((key) => pathCache.getOrCompute(key, compute)))
      expect(found.map(({ destination }) => destination)).toEqual(keys.map(({ destination }) => destination))
      expect(computations).toBe(1_000)
      expect(await pathCache.count()).toBe(1_000)
    }))

  test('no computation begins for whom has left, at whichever moment', () =>
    run(async ({ pathCache }) => {
      let forNobody = 0
      for (let moment = 0; moment < 40; moment++) {
        const leaving = new AbortController()
        const compute = (): PathBundle => {
          if (leaving.signal.aborted) forNobody++
          return FOUND
        }
        const options = { signal: leaving.signal, computeTimeoutMs: 60_000 }
        const asked = pathCache.getOrCompute(pathKey('a', numbered('n', moment)), compute, options)
        asked.catch(() => {})
        for (let turn = 0; turn < moment; turn++) await undefined
        leaving.abort('enough')
        // The database has answered the earlier questions by then.
        await pathCache.stats()
      }
      expect(forNobody).toBe(0)
    }))

  test('what was computed while the machine slept is not stored: the marks that it should heed may be gone', () =>
    run(async ({ pathCache }) => {
      const { compute, resolve, begun } = held()
      const asked = pathCache.getOrCompute(A_B, compute)
      await begun
      const woken = Date.now() + 3_600_000
      const time = vi.spyOn(Date, 'now').mockImplementation(() => woken)
      try {
        resolve(FOUND)
        expect(await asked).toEqual(FOUND)
      } finally {
        time.mockRestore()
      }
      expect(await pathCache.get(A_B)).toBeUndefined()
    }))

  test('two computations that ask for each other: one of them is told, and neither waits for ever', () =>
    run(async ({ pathCache }) => {
      const [first, second] = [held(), held()]
      const [a, b] = [pathKey('a', 'c'), pathKey('b', 'c')]
      const asked = [
        pathCache.getOrCompute(a, async (key, context) => {
          await first.compute(key, context)
          return pathCache.getOrCompute(b, unexpected)
        }),
        pathCache.getOrCompute(b, async (key, context) => {
          await second.compute(key, context)
          return pathCache.getOrCompute(a, unexpected)
        }),
      ]
      await Promise.all([first.begun, second.begun])
      first.resolve(bundle('a', 'c'))
      second.resolve(bundle('b', 'c'))
      // The other one waits for it, and gets what it got.
      for (const each of asked) await expectCode(each, 'MISUSE')
    }))

  test('callers that come one after the other while it is computed wait for the same computation', () =>
    run(async ({ pathCache, nodes }) => {
      const { compute, resolve, begun, calls } = held()
      const callers = [pathCache.getOrCompute(A_B, compute)]
      await begun
      for (let turn = 0; turn < 5; turn++) {
        callers.push(pathCache.getOrCompute(A_B, compute))
        await nodes.count()
      }
      expect(await pathCache.get(A_B), 'not yet').toBeUndefined()
      resolve(FOUND)
      for (const caller of callers) expect(await caller).toEqual(FOUND)
      expect(calls()).toBe(1)
    }))

  test('keys are computed independently, and at the same time', () =>
    run(async ({ pathCache }) => {
      const first = held()
      const second = held()
      const slow = pathCache.getOrCompute(A_B, first.compute)
      const quick = pathCache.getOrCompute(pathKey('a', 'b', 2), second.compute)
      await first.begun
      second.resolve(FOUND)
      await quick
      first.resolve(bundle('a', 'b', 7))
      expect(await slow).toEqual(bundle('a', 'b', 7))
    }))

  test('an error reaches every caller, is not cached, and the next to ask computes anew', () =>
    run(async ({ pathCache }) => {
      const { compute, reject, begun, calls } = held()
      const callers = Array.from({ length: 20 }, () => pathCache.getOrCompute(A_B, compute))
      await begun
      const failure = new Error('no path')
      reject(failure)
      for (const outcome of await Promise.allSettled(callers)) {
        expect(outcome).toEqual({ status: 'rejected', reason: failure })
      }
      expect(calls()).toBe(1)
      expect(await pathCache.count()).toBe(0)
      expect(await pathCache.getOrCompute(A_B, () => FOUND)).toEqual(FOUND)
    }))

  test('what compute throws at once reaches the caller too', () =>
    run(async ({ pathCache }) => {
      const failure = new Error('no path')
      const compute = (): PathBundle => {
        throw failure
      }
      await expect(pathCache.getOrCompute(A_B, compute)).rejects.toBe(failure)
      expect(await pathCache.getOrCompute(A_B, () => FOUND)).toEqual(FOUND)
    }))

  test('a bundle that breaks the rules is refused for every caller, and not cached', () =>
    run(async ({ pathCache }) => {
      const compute = (): PathBundle => ({ ...FOUND, primary: [{ nodes: ['a'], latency_sum_ms: Number.NaN }] })
      const callers = [pathCache.getOrCompute(A_B, compute), pathCache.getOrCompute(A_B, compute)]
      for (const caller of callers) await expectRefused(caller, 'bundle.primary[0].latency_sum_ms')
      expect(await pathCache.count()).toBe(0)
    }))

  test('a caller that loses patience leaves the others waiting for the same computation', () =>
    run(async ({ pathCache }) => {
      const { compute, resolve, begun, calls } = held()
      const impatient = new AbortController()
      const first = pathCache.getOrCompute(A_B, compute, { signal: impatient.signal })
      const second = pathCache.getOrCompute(A_B, compute, { signal: new AbortController().signal })
      const third = pathCache.getOrCompute(A_B, compute)
      const signal = await begun
      const reason = new Error('too slow')
      impatient.abort(reason)
      await expect(first).rejects.toBe(reason)
      expect(signal.aborted).toBe(false)
      resolve(FOUND)
      expect(await Promise.all([second, third])).toEqual([FOUND, FOUND])
      expect(calls()).toBe(1)
      expect(await pathCache.get(A_B)).toEqual(FOUND)
    }))

  test('when the last caller has lost patience the computation is aborted, and what it still finds is not stored', () =>
    run(async ({ pathCache }) => {
      const { compute, begun, resolve } = held()
      const controllers = [new AbortController(), new AbortController()]
      const callers = controllers.map(({ signal }) => pathCache.getOrCompute(A_B, compute, { signal }))
      const signal = await begun
      for (const controller of controllers) controller.abort(new Error('too slow'))
      for (const caller of callers) await expect(caller).rejects.toThrow('too slow')
      expect(signal.aborted).toBe(true)
      expect(signal.reason).toEqual(new Error('too slow'))
      resolve(FOUND)
      // Time enough to store it, and a write behind that one.
      for (let turn = 0; turn < 10; turn++) await new Promise((done) => setImmediate(done))
      await pathCache.set(pathKey('c', 'd'), FOUND)
      expect(await pathCache.get(A_B)).toBeUndefined()
    }))

  test('whoever asks after an aborted computation gets one of its own', () =>
    run(async ({ pathCache }) => {
      const [first, second] = [held(), held()]
      const controller = new AbortController()
      const aborted = pathCache.getOrCompute(A_B, first.compute, { signal: controller.signal })
      await first.begun
      controller.abort(new Error('too slow'))
      await expect(aborted).rejects.toThrow('too slow')
      const next = pathCache.getOrCompute(A_B, second.compute)
      await second.begun
      second.resolve(bundle('a', 'b', 2))
      expect(await next).toEqual(bundle('a', 'b', 2))
      first.resolve(bundle('a', 'b', 1))
      for (let turn = 0; turn < 10; turn++) await new Promise((done) => setImmediate(done))
      expect(await pathCache.get(A_B)).toEqual(bundle('a', 'b', 2))
      expect((await pathCache.stats()).computations).toBe(2)
    }))

  test('a caller without patience from the start computes nothing', () =>
    run(async ({ pathCache }) => {
      const reason = new Error('gone')
      const asked = pathCache.getOrCompute(A_B, unexpected, { signal: AbortSignal.abort(reason) })
      await expect(asked).rejects.toBe(reason)
      expect(await pathCache.getOrCompute(A_B, () => FOUND)).toEqual(FOUND)
    }))

  test('a signal that is aborted after the answer does no harm', () =>
    run(async ({ pathCache }) => {
      const controller = new AbortController()
      const { compute, resolve, begun } = held()
      const asked = pathCache.getOrCompute(A_B, compute, { signal: controller.signal })
      const signal = await begun
      resolve(FOUND)
      await asked
      controller.abort()
      expect(signal.aborted).toBe(false)
      expect(await pathCache.get(A_B)).toEqual(FOUND)
    }))

  test('compute may use the store, and transactions of it', () =>
    run(async ({ pathCache, nodes, transaction }) => {
      const compute = async (): Promise<PathBundle> => {
        const count = await transaction(async (tx) => tx.nodes.count())
        await pathCache.set(pathKey('a', 'c'), bundle('a', 'c'))
        return bundle('a', 'b', count + (await nodes.count()))
      }
      expect(await pathCache.getOrCompute(A_B, compute)).toEqual(bundle('a', 'b', 0))
      expect(await pathCache.get(pathKey('a', 'c'))).toEqual(bundle('a', 'c'))
    }))

  test('getOrCompute refuses what it does not know before it computes', () =>
    run(async ({ pathCache }) => {
      await expectRefused(pathCache.getOrCompute(pathKey('a', ''), unexpected), 'destination')
      await expectRefused(pathCache.getOrCompute(A_B, 'compute' as never), 'compute')
      await expectRefused(pathCache.getOrCompute(A_B, unexpected, { signal: {} as AbortSignal }), 'signal')
      await expectRefused(pathCache.getOrCompute(A_B, unexpected, { ttlSeconds: 0 }), 'ttlSeconds')
      await expectRefused(pathCache.getOrCompute(A_B, unexpected, { ttl: 1 } as object), 'ttl')
    }))
}
