/** Watchers of cached paths: all of a store's watchers share one subscription to its changes. */
import { AsyncResource } from 'node:async_hooks'
import type { Change } from '../api.ts'
import type { ChangeStream } from '../changes/stream.ts'
import { StorageError } from '../errors.ts'
import type { CachedPath, PathKey } from '../schema/index.ts'
import { cacheKey } from '../schema/path-bundle.ts'

export interface WatcherOptions {
  /** Begins a subscription that ends with the store. */
  readonly subscribe: () => ChangeStream
  readonly read: (key: PathKey) => Promise<CachedPath | undefined>
}

/** The caller has ended the iteration. */
const ENDED = Symbol('ended')

export class PathWatchers {
  readonly #options: WatcherOptions
  readonly #watchers = new Set<Watcher>()
  /** `watch()` may be called in a transaction. The subscription is no part of it. */
  readonly #outside = AsyncResource.bind((run: () => void) => run())
  #stream: ChangeStream | undefined

  constructor(options: WatcherOptions) {
    this.#options = options
  }

  watch(
    key: PathKey,
    { signal }: { signal?: AbortSignal | undefined },
  ): AsyncIterableIterator<CachedPath | undefined, undefined> {
    const watcher = new Watcher(key)
    const values = this.#values(watcher, signal)
    return {
      next: () => values.next(),
      return: () => {
        // A generator can end only at a yield: fail the watcher, so that the generator stops waiting for news.
        watcher.fail(ENDED)
        return values.return(undefined)
      },
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  async *#values(watcher: Watcher, signal: AbortSignal | undefined): AsyncGenerator<CachedPath | undefined, undefined> {
    signal?.throwIfAborted()
    const abort = (): void => watcher.fail(signal?.reason)
    signal?.addEventListener('abort', abort)
    this.#watchers.add(watcher)
    try {
      const look = () => watcher.orFailure(this.#options.read(watcher.key))
      // Inside a transaction of the store this read is refused. Subscribing would wait for the transaction's end.
      await look()
      await watcher.orFailure(this.#subscribed())
      let last = await look()
      yield last
      for (;;) {
        const news = await watcher.news()
        const entry = await look()
        // No news: the entry came and went, was already gone, or an invalidation by a node concerned other paths.
        const isNews = entry === undefined ? last !== undefined : news === 'stored'
        if (!isNews) continue
        last = entry
        yield entry
      }
    } catch (error) {
      if (error !== ENDED) throw error
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#watchers.delete(watcher)
      if (this.#watchers.size === 0) await this.#unsubscribe()
    }
  }

  /** Resolves when the subscription is registered: later commits are announced. */
  #subscribed(): Promise<unknown> {
    const ready = Promise.withResolvers<unknown>()
    this.#outside(() => ready.resolve(this.#subscription().ready()))
    return ready.promise
  }

  #subscription(isAnother = false): ChangeStream {
    if (this.#stream === undefined) {
      this.#stream = this.#options.subscribe()
      this.#announce(this.#stream, isAnother)
    }
    return this.#stream
  }

  async #announce(stream: ChangeStream, isAnother: boolean): Promise<void> {
    try {
      await stream.ready()
      if (isAnother) for (const watcher of this.#watchers) watcher.lookAgain()
      for await (const change of stream) for (const watcher of this.#watchers) watcher.hear(change)
    } catch (error) {
      if (this.#stream !== stream) return
      this.#stream = undefined
      // A watcher needs the current entry, not each change: read it again.
      const isMissed = error instanceof StorageError && error.code === 'CHANGES_MISSED'
      if (isMissed && this.#watchers.size > 0) this.#subscription(true)
      // The next watcher subscribes anew.
      else for (const watcher of this.#watchers) watcher.fail(error)
      await stream.end()
    }
  }

  async #unsubscribe(): Promise<void> {
    const stream = this.#stream
    this.#stream = undefined
    await stream?.end()
  }
}

type News = 'stored' | 'gone'

/** A watcher of one key, and the news that it has not looked at yet. */
class Watcher {
  readonly key: PathKey
  readonly #name: string
  #failure: { readonly error: unknown } | undefined
  /** Pending reads. A shared promise of the failure would keep their results in memory while the watcher lives. */
  readonly #waiting = new Set<(error: unknown) => void>()
  #news: News | undefined
  #wake: () => void = () => {}

  constructor(key: PathKey) {
    this.key = key
    this.#name = cacheKey(key)
  }

  hear(change: Change): void {
    if (!this.#concerns(change)) return
    if (change.operation === 'insert' || change.operation === 'update') this.#news = 'stored'
    else this.#news ??= 'gone'
    this.#wake()
  }

  /** Changes may have been missed: the watcher reads the entry again. */
  lookAgain(): void {
    this.#news = 'stored'
    this.#wake()
  }

  #concerns({ table, operation, key, paths }: Change): boolean {
    if (table !== 'path_cache') return false
    if (operation === 'truncate') return true
    if (operation !== 'invalidate') return key === this.#name
    const { source, destination } = this.key
    return (paths?.source ?? source) === source && (paths?.destination ?? destination) === destination
  }

  fail(error: unknown): void {
    this.#failure ??= { error }
    for (const reject of this.#waiting) reject(this.#failure.error)
  }

  orFailure<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      promise.then(resolve, reject).finally(() => this.#waiting.delete(reject))
      if (this.#failure === undefined) this.#waiting.add(reject)
      else reject(this.#failure.error)
    })
  }

  async news(): Promise<News> {
    while (this.#news === undefined) {
      await this.orFailure(
        new Promise<void>((resolve) => {
          this.#wake = resolve
        }),
      )
    }
    const news = this.#news
    this.#news = undefined
    return news
  }
}
