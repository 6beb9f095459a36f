/** Who watches cached paths: all of a store's watchers share one subscription to its changes. */
import type { Change } from '../api.ts'
import type { CachedPath, PathKey } from '../schema/index.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import type { ChangeStream } from './stream.ts'

interface Options {
  readonly subscribe: () => ChangeStream
  readonly read: (key: PathKey) => Promise<CachedPath | undefined>
}

export class PathWatchers {
  readonly #options: Options
  readonly #watchers = new Set<Watcher>()
  #stream: ChangeStream | undefined

  constructor(options: Options) {
    this.#options = options
  }

  async *watch(
    key: PathKey,
    { signal }: { signal?: AbortSignal | undefined },
  ): AsyncGenerator<CachedPath | undefined, undefined, undefined> {
    signal?.throwIfAborted()
    const watcher = new Watcher(key)
    const abort = (): void => watcher.fail(signal?.reason)
    signal?.addEventListener('abort', abort)
    this.#watchers.add(watcher)
    try {
      await watcher.orFailure(this.#subscription().ready())
      let last: CachedPath | undefined
      for (let first = true; ; first = false) {
        const news = first ? 'stored' : await watcher.news()
        const entry = await watcher.orFailure(this.#options.read(key))
        // An invalidation of other paths by way of a node looks the same from here.
        if (news === 'gone' && (entry !== undefined || last === undefined)) continue
        last = entry
        yield entry
      }
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#watchers.delete(watcher)
      if (this.#watchers.size === 0) await this.#unsubscribe()
    }
  }

  #subscription(): ChangeStream {
    if (this.#stream === undefined) {
      this.#stream = this.#options.subscribe()
      this.#announce(this.#stream)
    }
    return this.#stream
  }

  async #announce(stream: ChangeStream): Promise<void> {
    try {
      for await (const change of stream) for (const watcher of this.#watchers) watcher.hear(change)
    } catch (error) {
      // The next who watches subscribes anew.
      if (this.#stream === stream) this.#stream = undefined
      for (const watcher of this.#watchers) watcher.fail(error)
    }
  }

  async #unsubscribe(): Promise<void> {
    const stream = this.#stream
    this.#stream = undefined
    await stream?.end()
  }
}

type News = 'stored' | 'gone'

/** One who watches a key, and what he has not looked at yet. */
class Watcher {
  readonly #key: PathKey
  readonly #name: string
  readonly #failed = Promise.withResolvers<never>()
  #news: News | undefined
  #wake: () => void = () => {}

  constructor(key: PathKey) {
    this.#key = key
    this.#name = cacheKey(key)
    this.#failed.promise.catch(() => {})
  }

  hear(change: Change): void {
    if (!this.#concerns(change)) return
    if (change.operation === 'insert' || change.operation === 'update') this.#news = 'stored'
    else this.#news ??= 'gone'
    this.#wake()
  }

  #concerns({ table, operation, key, paths }: Change): boolean {
    if (table !== 'path_cache') return false
    if (operation === 'truncate') return true
    if (operation !== 'invalidate') return key === this.#name
    const { source, destination } = this.#key
    return (paths?.source ?? source) === source && (paths?.destination ?? destination) === destination
  }

  fail(error: unknown): void {
    this.#failed.reject(error)
  }

  orFailure<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#failed.promise])
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
