/** The path cache. */
import type { CachedPath, PathBundle, PathKey } from '../schema/index.ts'
import type { Page } from './repositories.ts'

/** Only the entries that match every property given. */
export interface CachedPathFilter {
  readonly source?: string | undefined
  readonly destination?: string | undefined
}

/** What to drop: paths from here, to there and by way of that node, as far as they are given. */
export interface InvalidationFilter extends CachedPathFilter {
  /** A node on the way, or at its ends. */
  readonly through?: string | undefined
}

/** How many entries a sweep has deleted. */
export interface SweepReport {
  readonly expired: number
  readonly invalidated: number
  /** Above `maxEntries`. */
  readonly evicted: number
}

export interface CacheEntryOptions {
  /** Time to live, in seconds, to the millisecond. */
  readonly ttlSeconds?: number | undefined
}

export interface ComputeOptions extends CacheEntryOptions {
  /**
   * For so long after its end an old bundle will do: whoever asks gets it at once, and one computation, which nobody waits
   * for, puts a new one in its place. If that fails, the old one goes on serving until this time is up. 0 by default.
   *
   * Each process keeps what has expired for the longest that was asked of it: the sweep of another one, which was asked for
   * less, may delete it before.
   */
  readonly staleSeconds?: number | undefined
  /**
   * How long a computation that this call begins may take, in milliseconds. Past it, its signal aborts, and whoever waits gets
   * TIMEOUT. No limit by default.
   */
  readonly computeTimeoutMs?: number | undefined
  /** By up to this part of it, from 0 to 1, the time to live is shortened at random: what was stored together expires apart. */
  readonly jitter?: number | undefined
  /** This caller's patience. The computation is aborted when the last caller has lost it. */
  readonly signal?: AbortSignal | undefined
}

/** Finds the paths for a key. `signal` says that nobody waits for the answer any more. */
export type ComputePaths<B extends PathBundle> = (key: PathKey, context: { signal: AbortSignal }) => Promise<B> | B

/** A bundle and where it came from. */
export interface ResolvedPaths<B extends PathBundle = PathBundle> {
  readonly bundle: B
  /** `'stale'`: it has expired, within `staleSeconds`; `'computed'`: by this caller or by the one that it waited for. */
  readonly origin: 'hit' | 'stale' | 'computed'
  /** When the entry expires; of a bundle that could not be stored, the moment when it was found. */
  readonly expiresAt: Date
}

/** The counters are this process's, since the store was opened. */
export interface PathCacheStats {
  /** Rows in the database: with those that have expired or been invalidated, and that no sweep has deleted yet. */
  readonly entries: number
  /** Those of them that have expired. */
  readonly expired: number
  /** What the database does when nodes and policies change: see `PathCacheOptions`. */
  readonly invalidation: 'topology' | 'manual'
  readonly hits: number
  readonly misses: number
  /** Old bundles that were served by `staleSeconds`. */
  readonly staleHits: number
  readonly computations: number
  /** Callers that waited for a computation which another one had begun. */
  readonly joined: number
  /** Entries that this process's sweeps evicted above `maxEntries`. */
  readonly evictions: number
}

/**
 * The path cache in a transaction. What computes, sweeps or watches is the store's alone: see `PathCacheRepository`.
 *
 * Each bundle of paths has a time to live. An expired one is never returned, from the millisecond it expires. A bundle is plain
 * JSON: up to 1 MiB, 100 levels deep.
 */
export interface TransactionPathCache {
  /** `undefined` if there is none, or it has expired or been invalidated. `B` is what the application stored: it is not checked. */
  get<B extends PathBundle = PathBundle>(key: PathKey): Promise<B | undefined>
  /** The same with its times. */
  getEntry(key: PathKey): Promise<CachedPath | undefined>
  /** Stores a bundle in place of the one that is there. */
  set<B extends PathBundle>(key: PathKey, bundle: B, options?: CacheEntryOptions): Promise<CachedPath>
  /** All of them or none, in order. */
  setMany(entries: readonly { key: PathKey; bundle: PathBundle; ttlSeconds?: number | undefined }[]): Promise<void>
  /** Whether there was one that had not expired. */
  delete(key: PathKey): Promise<boolean>
  /** One page of what has not expired, in the order of the cache keys. */
  list(options?: CachedPathFilter & Page): Promise<CachedPath[]>
  iterate(filter?: CachedPathFilter): AsyncIterable<CachedPath>
  /** What has not expired. */
  count(filter?: CachedPathFilter): Promise<number>
  /**
   * Drops what matches; an empty filter is refused (VALIDATION): that is `clear()`. Returns how many rows were deleted, expired
   * ones included. By `source` and `destination` an index finds them; by `through` all bundles are looked at, in batches, after
   * the paths have been marked: from then on nobody gets them.
   *
   * A computation that is under way is returned to whoever began it, and not stored. Those who have joined it compute anew:
   * whoever asks after `invalidate()` has resolved never gets what was computed before it, unless it could not be stored for
   * another reason (a full disk, a read-only store): then nobody has looked.
   */
  invalidate(filter: InvalidationFilter): Promise<number>
  /** Deletes what has expired, in batches of 500 unless `batchSize` says otherwise, and returns how many. */
  deleteExpired(options?: { now?: Date | undefined; batchSize?: number | undefined }): Promise<number>
  /** Drops everything, at once: the rows are deleted by the next sweep. Returns how many there were, expired ones included. */
  clear(): Promise<number>
  stats(): Promise<PathCacheStats>
}

/**
 * The path cache of a store. In a transaction, the methods that it adds are compile errors, and MISUSE in JavaScript: they would
 * hold the writer, or see one moment only.
 */
export interface PathCacheRepository extends TransactionPathCache {
  /**
   * The cached bundle, or the one that `compute` finds, which is then cached. However many ask for a key at once, it is
   * computed once in this process. An error of `compute` reaches every caller and is not cached. A bundle that cannot be
   * stored, because the disk is full or the store read-only, is returned all the same.
   *
   * Callers that share a computation share one object. Treat it as read-only: copy it before you change it.
   */
  getOrCompute<B extends PathBundle>(key: PathKey, compute: ComputePaths<B>, options?: ComputeOptions): Promise<B>
  /** The same with where it came from, and when it expires. */
  resolve<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options?: ComputeOptions,
  ): Promise<ResolvedPaths<B>>
  /**
   * Deletes what nobody gets any more: what has expired or been invalidated, and what is too much. It happens by itself,
   * every `sweepSeconds`, in small batches.
   */
  sweep(): Promise<SweepReport>
  /**
   * The cached bundle as it is now, and again whenever it is stored, deleted or invalidated, by whichever process; `undefined` where
   * there is none. What has expired is not announced: `expiresAt` says when. A slow watcher gets the latest. Rejects with
   * the signal's reason.
   */
  watch(key: PathKey, options?: { signal?: AbortSignal | undefined }): AsyncIterableIterator<CachedPath | undefined>
}
