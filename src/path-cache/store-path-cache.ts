import type { ComputeOptions, ComputePaths, PathCacheRepository, ResolvedPaths, SweepReport } from '../api.ts'
import type { Session } from '../database/session.ts'
import { StorageError } from '../errors.ts'
import type { CachedPath, PathBundle, PathKey } from '../schema/index.ts'
import * as rules from '../schema/rules.ts'
import { type CacheEvent, cacheTracing, tracePromise } from '../tracing.ts'
import { COMPUTE_RULES, WATCH_RULES } from './arguments.ts'
import { CachedPaths, type CachedPathsOptions } from './cached-paths.ts'
import { PathEntries } from './entries.ts'
import { PathResolver } from './resolver.ts'
import { PathWatchers, type WatcherOptions } from './watchers.ts'

interface Options extends CachedPathsOptions {
  /** Aborts when the store is closed. */
  readonly closing: () => AbortSignal
  /** Deletes everything that is due now; `undefined` for a read-only store. */
  readonly sweep: (() => Promise<SweepReport>) | undefined
  /** Subscribes to the store's changes; `undefined` for a read-only store. */
  readonly subscribe: WatcherOptions['subscribe'] | undefined
}

/** The store's own path cache: it also computes, sweeps and watches. */
export class StorePathCache extends CachedPaths implements PathCacheRepository {
  readonly #session: Session
  readonly #resolver: PathResolver
  readonly #sweep: Options['sweep']
  readonly #watchers: PathWatchers | undefined

  constructor(session: Session, options: Options) {
    const entries = new PathEntries(session, options)
    super(session, options, entries)
    this.#session = session
    this.#resolver = new PathResolver(entries, options)
    this.#sweep = options.sweep
    const { subscribe } = options
    this.#watchers = subscribe && new PathWatchers({ subscribe, read: (key) => this.getEntry(key) })
  }

  async getOrCompute<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options?: ComputeOptions,
  ): Promise<B> {
    return (await this.resolve(key, compute, options)).bundle
  }

  async resolve<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options: ComputeOptions = {},
  ): Promise<ResolvedPaths<B>> {
    const checked = rules.checkedKey(key)
    rules.checkValue('compute', rules.isFunction, compute)
    rules.checkOptions('The options', COMPUTE_RULES, options)
    // A caller that joins a computation reads nothing: refuse it here.
    const refused = this.#session.refusal()
    if (refused !== undefined) throw refused
    const run = (event: CacheEvent): Promise<ResolvedPaths<B>> =>
      this.#resolver.resolve(checked, compute, { ...options }, event)
    return cacheTracing.hasSubscribers ? tracePromise(cacheTracing, {}, run) : run({})
  }

  async sweep(): Promise<SweepReport> {
    if (this.#sweep === undefined)
      throw new StorageError(
        'READ_ONLY',
        'The store was opened read-only. Nothing was deleted. Open it without readOnly.',
      )
    return this.#sweep()
  }

  watch(
    key: PathKey,
    options: { signal?: AbortSignal | undefined } = {},
  ): AsyncIterableIterator<CachedPath | undefined> {
    const checked = rules.checkedKey(key)
    rules.checkOptions('The options', WATCH_RULES, options)
    if (this.#watchers === undefined)
      throw new StorageError(
        'READ_ONLY',
        'The store was opened read-only, and a subscriber is noted in the database. Nothing was written. Open it without readOnly.',
      )
    return this.#watchers.watch(checked, options)
  }
}
