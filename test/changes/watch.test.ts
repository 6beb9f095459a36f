/** `pathCache.watch()`: whoever uses a bundle hears when it is stored, deleted or invalidated, by whichever process. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { CachedPath } from '../../src/index.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { expectCode } from '../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { eachBackend, eachLastingBackend, untyped } from '../support/settings.ts'
import { logOf } from './support/log.ts'

type Watched = AsyncIterableIterator<CachedPath | undefined>

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const KEY = pathKey('a', 'b')
/** The latency of the next one, or `undefined`. */
const next = async (watched: Watched): Promise<number | undefined> => {
  const { value, done } = await watched.next()
  if (done === true) throw new Error('It ended.')
  return value?.bundle.primary[0]?.latency_sum_ms
}

eachBackend('watch', (backend) => {
  test('gives what is there, and again whenever it is stored or deleted', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const watched = pathCache.watch(KEY)
    expect(await next(watched)).toBeUndefined()
    await pathCache.set(KEY, bundle('a', 'b', 1))
    expect(await next(watched)).toBe(1)
    await pathCache.getOrCompute(pathKey('a', 'c'), async () => bundle('a', 'c', 9))
    await pathCache.set(KEY, bundle('a', 'b', 2))
    expect(await next(watched)).toBe(2)
    await pathCache.delete(KEY)
    expect(await next(watched)).toBeUndefined()
    await pathCache.getOrCompute(KEY, async () => bundle('a', 'b', 3))
    expect(await next(watched)).toBe(3)
    const second = pathCache.watch(KEY)
    expect(await next(second)).toBe(3)
    await Promise.all([watched.return?.(), second.return?.()])
  })

  test('by each way to invalidate it, and by no other', async () => {
    await using opened = await backend.open()
    const { nodes, policies, pathCache } = opened.store
    await nodes.createMany([node('a'), node('b'), node('relay'), node('elsewhere')])
    const ways: Record<string, () => Promise<unknown>> = {
      source: () => pathCache.invalidate({ source: 'a' }),
      'both ends': () => pathCache.invalidate({ source: 'a', destination: 'b' }),
      'a node on the way': () => pathCache.invalidate({ through: 'relay' }),
      clear: () => pathCache.clear(),
      'a node that stops': () => nodes.save(node('relay', { started: true })),
      'a policy': () => policies.save(policy('p')),
    }
    const others = async (): Promise<void> => {
      await pathCache.invalidate({ source: 'b' })
      await pathCache.invalidate({ destination: 'a' })
      await pathCache.invalidate({ through: 'elsewhere' })
      await nodes.save(node('elsewhere', { started: true }))
      await nodes.recordRoutes('relay')
    }
    const watched = pathCache.watch(KEY)
    expect(await next(watched)).toBeUndefined()
    let latency = 0
    for (const [name, invalidate] of Object.entries(ways)) {
      await pathCache.set(KEY, bundle('a', 'b', ++latency))
      expect(await next(watched), name).toBe(latency)
      await others()
      await invalidate()
      expect(await next(watched), name).toBeUndefined()
      // The row goes later: no news.
      await pathCache.sweep()
    }
    await watched.return?.()
  })

  test('who is slow gets the latest', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const watched = pathCache.watch(KEY)
    expect(await next(watched)).toBeUndefined()
    for (let latency = 1; latency <= 20; latency++) await pathCache.set(KEY, bundle('a', 'b', latency))
    const seen: (number | undefined)[] = []
    while (seen.at(-1) !== 20) seen.push(await next(watched))
    expect(seen.length).toBeLessThan(20)
    await watched.return?.()
  })

  test('all who watch share one subscription, which ends with the last', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const watchers = Array.from({ length: 20 }, (_, index) => pathCache.watch(pathKey('a', `b-${index}`)))
    await Promise.all(watchers.map((watched) => watched.next()))
    expect(await logOf(opened)).toMatchObject({ isOn: true, consumers: 1 })
    const answers = watchers.map(next)
    for (let index = 0; index < 20; index++) {
      await pathCache.set(pathKey('a', `b-${index}`), bundle('a', `b-${index}`, index))
    }
    expect(await Promise.all(answers)).toEqual(watchers.map((_, index) => index))
    for (const [index, watched] of watchers.entries()) {
      expect((await logOf(opened)).isOn, String(index)).toBe(true)
      await watched.return?.()
    }
    expect(await logOf(opened)).toMatchObject({ isOn: false, consumers: 0 })
    const again = pathCache.watch(KEY)
    expect(await next(again)).toBeUndefined()
    expect(await logOf(opened)).toMatchObject({ isOn: true, consumers: 1 })
    await again.return?.()
  })

  test('return(), break and the signal end it at once, though it waits', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const waiting = pathCache.watch(KEY)
    await waiting.next()
    const pending = waiting.next()
    expect(await waiting.return?.()).toEqual({ done: true, value: undefined })
    expect(await pending).toEqual({ done: true, value: undefined })
    for await (const _ of pathCache.watch(KEY)) break
    const abort = new AbortController()
    const aborted = pathCache.watch(KEY, { signal: abort.signal })
    await aborted.next()
    const failing = aborted.next()
    abort.abort(new Error('enough'))
    await expect(failing).rejects.toThrow('enough')
    await expect(pathCache.watch(KEY, { signal: AbortSignal.abort(new Error('before')) }).next()).rejects.toThrow(
      'before',
    )
    const unbegun = pathCache.watch(KEY)
    expect(await unbegun.return?.()).toEqual({ done: true, value: undefined })
    expect(await logOf(opened)).toMatchObject({ isOn: false, consumers: 0 })
  })

  test('what was given is held by nobody, however long somebody watches', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const watched = pathCache.watch(KEY)
    await next(watched)
    const given: WeakRef<CachedPath>[] = []
    for (let round = 0; round < 20; round++) {
      await pathCache.set(KEY, bundle('a', 'b', round))
      const { value } = await watched.next()
      if (value) given.push(new WeakRef(value))
    }
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
    // The last one is compared with the next.
    expect(given.filter((each) => each.deref() !== undefined).length).toBeLessThanOrEqual(2)
    await watched.return?.()
  })

  test('whoever watches when the store is closed is told so, and nothing is kept for nobody', async () => {
    await using opened = await backend.open()
    const watched = opened.store.pathCache.watch(KEY)
    await watched.next()
    const failing = expectCode(watched.next(), 'CLOSED')
    await opened.store.close()
    await failing
    await expectCode(opened.store.pathCache.watch(KEY).next(), 'CLOSED')
  })

  test('not in a transaction, and none of it is part of one', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const outside = store.pathCache.watch(KEY)
    await store.transaction(async (tx) => {
      expect(() => untyped(tx).pathCache.watch(KEY)).toThrow(expect.objectContaining({ code: 'MISUSE' }))
      await expectCode(store.pathCache.watch(KEY).next(), 'MISUSE')
    })
    expect(await next(outside)).toBeUndefined()
    await store.pathCache.set(KEY, bundle('a', 'b', 1))
    expect(await next(outside)).toBe(1)
    await outside.return?.()
  })

  test('keys and options are checked', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    for (const watch of [
      () => pathCache.watch({ source: '', destination: 'b', k: 1 }),
      () => pathCache.watch(KEY, { signal: 'x' } as never),
      () => pathCache.watch(KEY, { unknown: 1 } as never),
    ]) {
      expect(watch).toThrow(expect.objectContaining({ code: 'VALIDATION' }))
    }
  })

  test('whoever missed changes looks again', async () => {
    await using opened = await backend.open()
    const { store, other } = opened
    await store.pathCache.set(KEY, bundle('a', 'b', 1))
    const watched = store.pathCache.watch(KEY)
    expect(await next(watched)).toBe(1)
    // The changes are pruned before the watcher is told of them.
    await store.transaction(async (tx) => {
      await tx.pathCache.set(KEY, bundle('a', 'b', 2))
    })
    await other.execute('DELETE FROM meshstore_consumers')
    await other.execute("DELETE FROM meshstore_state WHERE name = 'change_log'")
    await eventually('the log is on again', async () => (await logOf(opened)).isOn)
    const seen: (number | undefined)[] = [await next(watched)]
    await store.pathCache.set(KEY, bundle('a', 'b', 3))
    while (seen.at(-1) !== 3) seen.push(await next(watched))
    expect(seen).toContain(2)
    await watched.return?.()
  })
})

eachLastingBackend('watch', (backend) => {
  test('another process stores, deletes and invalidates, through the library and without it', async () => {
    await using opened = await backend.open()
    const second = await opened.openAgain()
    await second.nodes.create(node('relay'))
    const watched = opened.store.pathCache.watch(KEY)
    expect(await next(watched)).toBeUndefined()
    await second.pathCache.set(KEY, bundle('a', 'b', 1))
    expect(await next(watched)).toBe(1)
    await second.nodes.delete('relay')
    expect(await next(watched)).toBeUndefined()
    await second.pathCache.set(KEY, bundle('a', 'b', 2))
    expect(await next(watched)).toBe(2)
    await opened.other.execute('DELETE FROM path_cache')
    expect(await next(watched)).toBeUndefined()
    await watched.return?.()
  })

  test('closing the store forgets its watchers, as nobody has a token of theirs', async () => {
    await using opened = await backend.open()
    const second = await opened.openAgain()
    const watched = second.pathCache.watch(KEY)
    await watched.next()
    expect((await logOf(opened)).consumers).toBe(1)
    await second.close()
    expect(await logOf(opened)).toMatchObject({ isOn: false, consumers: 0 })
  })
})
