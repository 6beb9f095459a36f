/** What the tracing channels carry, apart from them: these types need nothing of Node's own. */

/** `meshstore:statement`: a statement runs. Those of one transaction or batch come one by one. */
export interface StatementEvent {
  readonly name: string
  /** From `end` on. */
  milliseconds?: number
  /** From `end` on: rows returned, or changed where none are returned. */
  rows?: number
  error?: unknown
}

/** `meshstore:transaction`: a transaction, from its beginning to COMMIT or ROLLBACK. It ends with `asyncEnd`; with `error` if rolled back. */
export interface TransactionEvent {
  readonly readOnly: boolean
  attempts: number
  milliseconds?: number
  error?: unknown
}

/** `meshstore:commit`: writes that waited together are committed together. */
export interface CommitEvent {
  /** How many writes wait for it; from `end` on, how many it holds. */
  batch: number
  milliseconds?: number
  error?: unknown
}

/** `meshstore:backup`: a backup is made. It ends with `asyncEnd`, or with `error`. */
export interface BackupEvent {
  readonly trigger: 'call' | 'schedule'
  /** From `asyncEnd` on. */
  bytes?: number
  milliseconds?: number
  error?: unknown
}

/** `meshstore:sweep`: the path cache is swept. It ends with `asyncEnd`, or with `error`. */
export interface SweepEvent {
  readonly trigger: 'timer' | 'call'
  /** From `asyncEnd` on: rows that were deleted because they had expired, had been invalidated, or were too many. */
  expired?: number
  invalidated?: number
  evicted?: number
  milliseconds?: number
  error?: unknown
}

/** `meshstore:cache`: `getOrCompute` or `resolve` was asked. It ends with `asyncEnd`. */
export interface CacheEvent {
  /**
   * From `asyncEnd` on; `'joined'`: waited for another caller's computation; `'stale'`: an old one, and a computation that
   * nobody waits for has been begun, which is an event of its own: `'refreshed'`.
   */
  origin?: 'hit' | 'stale' | 'computed' | 'joined' | 'refreshed'
  milliseconds?: number
  /** What kept a computed bundle from being stored: the code of an error, or `INVALIDATED` meanwhile. */
  notStored?: string
  error?: unknown
}
