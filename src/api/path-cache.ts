/** The path cache. */
import type { CachedPath, PathBundle, PathKey } from '../schema/index.ts'
import type { Page } from './repositories.ts'

/** Only the entries that match every property given. */
export interface CachedPathFilter {
  readonly source?: string | undefined
  readonly destination?: string | undefined
}

/** The paths to drop: those that match every property given. */
export interface InvalidationFilter extends CachedPathFilter {
  /** A node anywhere on the path, its ends included. */
  readonly through?: string | undefined
}

/** Number of entries that a sweep deleted, by reason. */
export interface SweepReport {
  readonly expired: number
  readonly invalidated: number
  /** Entries above `maxEntries`. */
  readonly evicted: number
}

export interface CacheEntryOptions {
  /** Time to live, in seconds, to the millisecond. */
  readonly ttlSeconds?: number | undefined
}

export interface ComputeOptions extends CacheEntryOptions {
  /**
   * Stale-while-revalidate: for this many seconds after a bundle expired, callers get the old bundle at once, while one computation
   * in the background replaces it. If the computation fails, the old bundle is served until this time is over. Default: 0.
   *
   * The sweep keeps expired entries for the longest `staleSeconds` that its process was asked for. The sweep of another process
   * may delete them earlier.
   */
  readonly staleSeconds?: number | undefined
  /**
   * Time limit for a computation that this call begins, in milliseconds. Past it, its signal aborts, and its callers get TIMEOUT.
   * Default: no limit.
   */
  readonly computeTimeoutMs?: number | undefined
  /**
   * A fraction from 0 to 1: the time to live is shortened at random by up to this part of it. Entries that were stored together then
   * expire at different times. Default: 0.
   */
  readonly jitter?: number | undefined
  /** Aborts this caller's wait. The computation is aborted when no caller waits any more. */
  readonly signal?: AbortSignal | undefined
}

/** Computes the paths for a key. `signal` aborts when no caller waits any more, or past `computeTimeoutMs`. */
export type ComputePaths<B extends PathBundle> = (key: PathKey, context: { signal: AbortSignal }) => Promise<B> | B

/** A bundle, its origin and its expiry. */
export interface ResolvedPaths<B extends PathBundle = PathBundle> {
  readonly bundle: B
  /**
   * `'hit'`: from the cache. `'stale'`: from the cache, expired for less than `staleSeconds`. `'computed'`: by this call, or by the
   * call whose computation it joined.
   */
  readonly origin: 'hit' | 'stale' | 'computed'
  /** When the entry expires. For a bundle that was not stored: when it was computed. */
  readonly expiresAt: Date
}

/** Statistics of the cache. The counters count this store's calls since it was opened. */
export interface PathCacheStats {
  /** Rows in the database, including expired and invalidated rows that no sweep has deleted yet. */
  readonly entries: number
  /** The expired rows among `entries`. */
  readonly expired: number
  /** Whether changes of nodes and policies invalidate paths: see `PathCacheOptions`. */
  readonly invalidation: 'topology' | 'manual'
  readonly hits: number
  readonly misses: number
  /** Expired bundles that were served because of `staleSeconds`. */
  readonly staleHits: number
  readonly computations: number
  /** Callers that joined a computation of another caller. */
  readonly joined: number
  /** Entries above `maxEntries` that this store's sweeps deleted. */
  readonly evictions: number
}

/**
 * The path cache in a transaction. Computing, sweeping and watching belong to the store alone: see `PathCacheRepository`.
 *
 * Each bundle of paths has a time to live. An expired one is never returned, from the millisecond it expires. A bundle is plain
 * JSON: up to 1 MiB, 100 levels deep.
 *
 * The library does not compare a bundle with its key: the paths may be empty, partial or between other nodes. An invalidation looks at
 * the key's two nodes and at those of the paths.
 *
 * Every method can also reject with the codes that `Repositories` lists.
 */
export interface TransactionPathCache {
  /**
   * Returns the bundle, or `undefined` if there is none or it has expired or been invalidated. The library does not check that the
   * stored bundle is a `B`.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  get<B extends PathBundle = PathBundle>(key: PathKey): Promise<B | undefined>
  /**
   * Returns the bundle with `createdAt` and `expiresAt`, or `undefined` as `get` does.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  getEntry(key: PathKey): Promise<CachedPath | undefined>
  /**
   * Stores a bundle, and replaces the one that is there.
   *
   * @throws {StorageError} VALIDATION
   */
  set<B extends PathBundle>(key: PathKey, bundle: B, options?: CacheEntryOptions): Promise<CachedPath>
  /**
   * Stores bundles. All of them or none, in order.
   *
   * @throws {StorageError} VALIDATION; the index of the entry is in `issues`
   */
  setMany(entries: readonly { key: PathKey; bundle: PathBundle; ttlSeconds?: number | undefined }[]): Promise<void>
  /**
   * Deletes an entry. Returns whether there was one that had not expired.
   *
   * @throws {StorageError} VALIDATION
   */
  delete(key: PathKey): Promise<boolean>
  /**
   * Returns one page of the entries that have not expired, in the order of the cache keys.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  list(options?: CachedPathFilter & Page): Promise<CachedPath[]>
  /**
   * Iterates over all entries that have not expired, in the order of the cache keys, in constant memory.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  iterate(filter?: CachedPathFilter): AsyncIterable<CachedPath>
  /**
   * Counts the entries that have not expired.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  count(filter?: CachedPathFilter): Promise<number>
  /**
   * Drops the paths that match; an empty filter is refused (VALIDATION): use `clear()`. Returns how many rows were deleted, expired
   * rows included. An index finds paths by `source` and `destination`. With `through`, the paths are marked first: from then on they
   * are not returned. All bundles are then searched in batches.
   *
   * The result of a computation that is under way goes to the caller that began it, and is not stored. Callers that joined it
   * compute anew. A call that begins after `invalidate()` has resolved never gets a bundle that was computed before it. The
   * exception is a bundle that could not be stored for another reason, such as a full disk or a read-only store.
   *
   * @example
   * await store.pathCache.invalidate({ source: 'gw-1', destination: 'gw-2' })
   * await store.pathCache.invalidate({ through: 'gw-7' }) // paths from it, to it, and across it
   *
   * @throws {StorageError} VALIDATION
   */
  invalidate(filter: InvalidationFilter): Promise<number>
  /**
   * Deletes expired entries in batches, and returns how many. `batchSize` is a number of rows, 500 by default.
   *
   * @throws {StorageError} VALIDATION
   */
  deleteExpired(options?: { now?: Date | undefined; batchSize?: number | undefined }): Promise<number>
  /** Drops everything, at once: the next sweep deletes the rows. Returns how many rows there were, expired rows included. */
  clear(): Promise<number>
  /** Returns statistics. It counts the rows, so it takes longer the more there are. */
  stats(): Promise<PathCacheStats>
}

/**
 * The path cache of a store. In a transaction, the methods that it adds are compile errors, and MISUSE in JavaScript: they would
 * hold the writer, or see one moment only.
 */
export interface PathCacheRepository extends TransactionPathCache {
  /**
   * Single-flight: returns the cached bundle, or calls `compute` and caches its result. Concurrent callers in this process share
   * one computation for a key. An error of `compute` reaches every caller and is not cached. A bundle that cannot be stored,
   * because the disk is full or the store read-only, is returned all the same.
   *
   * Callers that share a computation share one object. Treat it as read-only: copy it before you change it.
   *
   * @throws {StorageError} VALIDATION, TIMEOUT (`computeTimeoutMs`), MISUSE (a computation that would wait for itself); also the
   * reason of `signal`, and the error that `compute` throws
   */
  getOrCompute<B extends PathBundle>(key: PathKey, compute: ComputePaths<B>, options?: ComputeOptions): Promise<B>
  /**
   * Does the same as `getOrCompute`, and also returns the bundle's origin and expiry.
   *
   * @example
   * const { bundle, origin, expiresAt } = await store.pathCache.resolve(key, findPaths, { ttlSeconds: 10, staleSeconds: 60 })
   *
   * @throws {StorageError} as `getOrCompute`
   */
  resolve<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options?: ComputeOptions,
  ): Promise<ResolvedPaths<B>>
  /**
   * Deletes expired and invalidated entries, and the entries above `maxEntries`. The store sweeps by itself, every `sweepSeconds`,
   * in small batches.
   *
   * @throws {StorageError} READ_ONLY on a read-only store
   */
  sweep(): Promise<SweepReport>
  /**
   * Yields the cached bundle as it is now, and again whenever any process stores, deletes or invalidates it; `undefined` if there is
   * none. Expiry is not announced: look at `expiresAt`. A slow watcher gets the latest bundle. Iteration rejects with the signal's
   * reason.
   *
   * @throws {StorageError} VALIDATION, READ_ONLY on a read-only store; while iterating CORRUPT, BUSY, CLOSED
   */
  watch(key: PathKey, options?: { signal?: AbortSignal | undefined }): AsyncIterableIterator<CachedPath | undefined>
}
