/** What has changed. */
import type { TableName } from '../schema/tables.ts'
import type { InvalidationFilter } from './path-cache.ts'

/** Something that was committed. It says what has changed, not into what: read it. */
export interface Change {
  readonly table: TableName
  /**
   * Of a row: `'insert'`, also where it replaces one as a whole; `'update'`; `'delete'`. Of the path cache: `'invalidate'`, from
   * when on nobody gets those paths, while their rows are deleted later. `'truncate'`: all rows of a table on PostgreSQL.
   */
  readonly operation: 'insert' | 'update' | 'delete' | 'invalidate' | 'truncate'
  /** Of the row; `undefined` for the last two. In the path cache, the `cacheKey` of `CachedPath`. */
  readonly key: string | undefined
  /** Of an invalidation: which paths; all, if nothing is given. */
  readonly paths: InvalidationFilter | undefined
  /** Where to go on behind this change: `changes({ after: token })`. */
  readonly token: string
}

export interface ChangesOptions {
  /**
   * Begin behind the change, or the `ready()`, that had this token, of this or another process. From now on, if not given. The
   * last token is good as long as its subscriber's changes are kept; one of before it, a quarter of that time long.
   */
  readonly after?: string | undefined
  /**
   * How long changes are kept for this subscriber when it does not ask for them, also after its process was killed or its store
   * closed, in seconds: 600 by default.
   */
  readonly keepSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Changes extends AsyncIterableIterator<Change, undefined>, AsyncDisposable {
  /**
   * Resolves when nothing that is committed from now on is missed, with the token of where the caller is. The first `next()` waits
   * for it, too. BUSY on PostgreSQL, if a transaction has been open for 10 s since before anybody subscribed.
   */
  ready(): Promise<string>
  /** Ends it: what it has not read is not kept for it. `break` in a loop does it, and the signal. */
  return(): Promise<IteratorResult<Change, undefined>>
}
