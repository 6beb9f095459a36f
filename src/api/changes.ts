/** The change stream: change data capture for nodes, policies and cached paths. */
import type { InvalidationFilter } from './path-cache.ts'

/** A committed change. It names the table, the key and the operation, not the new values: read the row. */
export interface Change {
  /** `nodes`, `policies`, `path_cache`, or the name of an own table in the database. */
  readonly table: string
  /**
   * - `'insert'`, `'update'`, `'delete'`: of one row. An insert may also replace a whole row.
   * - `'invalidate'`: cached paths were dropped. From then on they are not returned; their rows are deleted later. A change of a
   *   node that drops paths follows its invalidation; a stream that resumes between the two yields the invalidation again.
   * - `'truncate'`: all rows of a table on PostgreSQL.
   */
  readonly operation: 'insert' | 'update' | 'delete' | 'invalidate' | 'truncate'
  /** The row's key; `undefined` for `'invalidate'` and `'truncate'`. For a cached path, the `cacheKey` of `CachedPath`. */
  readonly key: string | undefined
  /** For `'invalidate'`, the paths that were dropped: those that match every property, or all paths if it is empty. */
  readonly paths: InvalidationFilter | undefined
  /** Resume token: `changes({ after: token })` continues after this change. */
  readonly token: string
}

export interface ChangesOptions {
  /**
   * Resume token of a change or of `ready()`, from this or another process: the stream begins after it. Default: now. A
   * subscriber's last token is valid while its changes are kept (`keepSeconds`). An earlier token is valid for a quarter of that time.
   */
  readonly after?: string | undefined
  /**
   * How long the log keeps changes for a subscriber that does not read, in seconds: 600 by default. It keeps them also after the
   * subscriber's process was killed or its store closed.
   */
  readonly keepSeconds?: number | undefined
  /** Ends the subscription; `next()` rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

/**
 * The stream of changes. `next()` rejects with CHANGES_MISSED if something is lost to the subscriber. On PostgreSQL it rejects with
 * UNAVAILABLE if the server is away for longer than `failoverMs`, which is 0 with one host and without `outcomeTokens`: subscribe
 * again with the last token.
 */
export interface Changes extends AsyncIterableIterator<Change, undefined>, AsyncDisposable {
  /**
   * Resolves once the subscription is registered: every change that is committed from then on is yielded. Returns the resume token
   * of this position. The first `next()` waits for it, too.
   *
   * @throws {StorageError} BUSY on PostgreSQL, if a transaction that was open before the first subscription stays open for 10 s;
   * CHANGES_MISSED, CLOSED, MISUSE (the subscription has ended, or inside a transaction); also the reason of `signal`
   */
  ready(): Promise<string>
  /** Ends the subscription: the log keeps no more changes for it. `break` in a `for await` loop and the signal do the same. */
  return(): Promise<IteratorResult<Change, undefined>>
}
