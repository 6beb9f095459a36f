/** Types of the tracing channels' events. They need no types of Node. */

/** `meshstore:statement`: a statement runs, or had no connection. Statements of one transaction or batch come one by one. */
export interface StatementEvent {
  /** The name of a statement that writes many rows ends with `*`. */
  readonly name: string
  /** At its end. */
  milliseconds?: number
  /** At its end: rows returned, or rows changed if the statement returns none. */
  rows?: number
  error?: unknown
}

/** `meshstore:transaction`: from BEGIN to COMMIT or ROLLBACK. Ends with `asyncEnd`; with `error` if rolled back. */
export interface TransactionEvent {
  readonly readOnly: boolean
  attempts: number
  milliseconds?: number
  error?: unknown
}

/** `meshstore:commit`: group commit of the writes that waited together, also one that was refused before it began. */
export interface CommitEvent {
  /** Writes that wait for the commit; at its end, writes that it holds. */
  batch: number
  milliseconds?: number
  error?: unknown
}

/**
 * `meshstore:retry`: a statement, a commit or a transaction begins again, because others were in its way. It is over at once, and costs a
 * caller nothing but time: what finally fails is an error of its own event.
 */
export interface RetryEvent {
  readonly event: 'statement' | 'commit' | 'transaction'
  readonly reason: RetryReason
}

/**
 * PostgreSQL's names of its conditions; `busy`: another connection held the lock of the SQLite file; `overtaken`: the transaction named a
 * row that an earlier call of this store still worked on; `stale_statement`: another program changed a table under a prepared statement;
 * `connection_lost`: the server or the connection went away, and nothing was committed.
 */
export type RetryReason =
  | 'serialization_failure'
  | 'deadlock_detected'
  | 'lock_not_available'
  | 'busy'
  | 'overtaken'
  | 'stale_statement'
  | 'connection_lost'

/** `meshstore:backup`: a backup. Ends with `asyncEnd`, or with `error`. */
export interface BackupEvent {
  readonly trigger: 'call' | 'schedule'
  /** From `asyncEnd` on. */
  bytes?: number
  milliseconds?: number
  error?: unknown
}

/** `meshstore:sweep`: a sweep of the path cache. Ends with `asyncEnd`, or with `error`. */
export interface SweepEvent {
  readonly trigger: 'timer' | 'call'
  /** From `asyncEnd` on: deleted rows that had expired, were invalidated, or exceeded the limit. */
  expired?: number
  invalidated?: number
  evicted?: number
  milliseconds?: number
  error?: unknown
}

/** `meshstore:replication`: a step of the replication. Ends with `asyncEnd`, or with `error`. */
export interface ReplicationEvent {
  readonly trigger: 'ship'
  /** From `asyncEnd` on, if a segment was shipped. */
  generation?: number
  segment?: number
  rows?: number
  bytes?: number
  /** From `asyncEnd` on: age of the newest moment that can be restored, in seconds. */
  behindSeconds?: number
  milliseconds?: number
  error?: unknown
}

/** `meshstore:cache`: a call of `getOrCompute` or `resolve`. Ends with `asyncEnd`. */
export interface CacheEvent {
  /**
   * From `asyncEnd` on. `'joined'`: waited for another caller's computation (single-flight). `'stale'`: served an old
   * bundle and began a background computation (stale-while-revalidate), whose own event says `'refreshed'`.
   */
  origin?: 'hit' | 'stale' | 'computed' | 'joined' | 'refreshed'
  milliseconds?: number
  /** Why a computed bundle was not stored: an error's code, or `INVALIDATED` if a write invalidated it meanwhile. */
  notStored?: string
  error?: unknown
}

/** `meshstore:move`: a live move to PostgreSQL. Ends with `asyncEnd`, or with `error`. `step` and `rows` change while it runs. */
export interface MoveEvent {
  step: 'checking' | 'copying' | 'following' | 'verifying' | 'switching'
  /** Rows copied so far. */
  rows: number
  /** From `asyncEnd` on: changes that were followed, attempts to switch, and the pause of writes. */
  followed?: number
  attempts?: number
  pauseMs?: number
  milliseconds?: number
  error?: unknown
}

/**
 * `meshstore:failover`: from the loss of PostgreSQL's primary to the next connection to one. Needs several hosts in the URL, or
 * `failoverMs`. Ends with `asyncEnd`; with `error` if the store closed before.
 */
export interface FailoverEvent {
  milliseconds?: number
  error?: unknown
}
