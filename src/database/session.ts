import { AsyncLocalStorage } from 'node:async_hooks'
import type { StorageStats } from '../api.ts'
import { misuse, type StorageError } from '../errors.ts'
import type { CommitSignal } from './commit-signal.ts'
import type { Statement } from './statement.ts'

export interface Written<R, F = never> {
  /** Rows of RETURNING. */
  readonly rows: R[]
  /** How many rows were inserted, updated or deleted. */
  readonly changes: number
  /** If nothing was written and the call has a `lookup`: the row at the time of the write, if there was a row. */
  readonly found?: readonly F[]
}

/** Rows that a call names. */
export interface Rows {
  readonly table: string
  readonly keys: readonly string[] | 'any'
}

export interface WriteOptions<P, F = unknown> {
  /** The call's rows, needed while its parameters are pending: the call takes its place in the order at once. */
  readonly rows?: Rows
  /** Reads the row in the same snapshot if the statement writes nothing. */
  readonly lookup?: Statement<NoInfer<P>, F> | undefined
  /** Does not count as waiting, and on SQLite goes before the waiting writes. For the library's own state, which no caller's write reads. */
  readonly ahead?: boolean
}

/** A statement with its parameters. */
export interface Call<P, R> {
  readonly statement: Statement<P, R>
  readonly parameters: P
  /** See `WriteOptions`. */
  readonly lookup?: Statement<NoInfer<P>, unknown> | undefined
}

/** Calls, or a promise of calls whose parameters are still being computed. */
export type Calls<P, R> = readonly Call<P, R>[] | Promise<readonly Call<P, R>[]>

/** Rows of a statement. `isCut`: more may follow, since these are large. */
export interface Part<R> {
  readonly rows: R[]
  readonly isCut: boolean
}
export type ReadPart = <P, R>(statement: Statement<P, R>, parameters: P) => Promise<Part<R>>

export type Snapshot = <T>(work: (session: Session) => Promise<T>) => Promise<T>

/** Runs statements on a database or in a transaction. Repositories work the same on both. */
export interface Session {
  readonly inTransaction: boolean
  /** The error if this session cannot be used by the caller; else `undefined`. */
  refusal(): StorageError | undefined
  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]>
  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined>
  /** Reads the first rows, up to a number of bytes, and at least one. `undefined` if the dialect's reads do not block the event loop. */
  readonly readPart: ReadPart | undefined
  /** Takes its place in the order of writes when it is called, even if its parameters are pending. */
  write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    options?: WriteOptions<P, F>,
  ): Promise<Written<R, F>>
  /**
   * Runs all calls in order, atomically. `result` maps each call's outcome; if it throws, all calls are rolled back.
   * `rows`: the calls' rows, needed while `calls` is pending.
   */
  writeEach<P, R, T>(
    calls: Calls<P, R>,
    result: (written: Written<R, unknown>, call: Call<P, R>) => T,
    rows?: Rows,
  ): Promise<T[]>
  /**
   * Runs reads on one consistent snapshot; in a transaction, its later statements wait meanwhile. `undefined` if the dialect's reads
   * do not block the event loop.
   */
  readonly snapshot: Snapshot | undefined
}

export interface TransactionSession extends Session {
  /** Runs `work` in a savepoint. */
  transaction<T>(work: (session: TransactionSession) => Promise<T>): Promise<T>
}

export interface TransactionLimits {
  readonly readOnly: boolean
  readonly timeoutMs: number
  readonly attempts: number
}

/** An entry of the change log. */
export interface LoggedChange {
  readonly table: string
  /** The row's key; for an invalidation, its filter as JSON; `null` if one statement removed all rows. */
  readonly key: string | null
  readonly operation: string
  /** The node of an invalidation that came with its change: then it has no key. */
  readonly through?: string | null
  /** The position after this change. */
  readonly position: string
}

/** A consumer's position. `log` identifies the log: a log that was switched off and on again has a new identity. */
export interface LogPosition {
  readonly log: string
  readonly position: string
}

/** A page of the log. `position`: the position after the page, also if the page is empty. */
export interface LogPage {
  readonly changes: LoggedChange[]
  readonly position: string
}

/**
 * Change data capture: triggers log the changes of all programs while the log has consumers. The log keeps the changes after
 * each consumer's position until the consumer's registration expires. Throws StorageErrors.
 */
export interface ChangeLog {
  /** The consumer's registered position. */
  at(consumer: string): Promise<LogPosition | undefined>
  /** Registers the consumer at the log's end: it gets each change that commits after this call. */
  begin(consumer: string, keptUntil: Date): Promise<LogPosition>
  /** Registers the consumer at an earlier position; `false` if changes after this position are gone. */
  resume(consumer: string, keptUntil: Date, from: LogPosition): Promise<boolean>
  /** Renews the registration at the consumer's new position; `false` if the registration has expired. */
  renew(consumer: string, keptUntil: Date, at: LogPosition): Promise<boolean>
  end(consumer: string): Promise<void>
  /**
   * Returns a form of the position that stays valid for the next second, too; `undefined` if changes up to the position are gone, as
   * after a fail-over that lost commits.
   */
  anchor(at: LogPosition): Promise<LogPosition | undefined>
  /** Reads up to `limit` changes after a position; `undefined` if changes after this position are gone. */
  read(from: LogPosition, limit: number): Promise<LogPage | undefined>
  /** For each position: whether changes follow it, or `read()` and `anchor()` have something to say of it. One query for all. */
  news(positions: readonly LogPosition[]): Promise<readonly boolean[]>
  /** Deletes expired consumers, and the changes that all consumers have read. */
  prune(now: Date): Promise<void>
}

/** Bytes of the database and of its write-ahead log, how often that began anew, and the number of waiting writes. */
export type Size = Pick<StorageStats, 'bytes' | 'walBytes' | 'walRestarts' | 'queuedWrites'>

/** One store's database, on each dialect. As a `Session` it runs statements outside of any transaction. */
export interface Database extends Session {
  readonly dialect: 'sqlite' | 'postgresql'
  readonly changeLog: ChangeLog
  readonly commits: CommitSignal
  transaction<T>(work: (session: TransactionSession) => Promise<T>, limits: TransactionLimits): Promise<T>
  size(): Promise<Size>
  /** The last migration that was applied. */
  schemaVersion(): Promise<string>
  /** SCHEMA_MISMATCH that names the missing parts of our tables, if any. Rejects if the database cannot be queried. */
  schemaProblem(): Promise<StorageError | undefined>
  /** A problem of the database's own that `health()` reports, if any. */
  problem(): Promise<{ readonly code: string; readonly message: string } | undefined>
  /** Settings of a cluster's servers with which a failover loses something, or takes long. One sentence or more each. */
  settingsProblems(): Promise<readonly string[]>
  /**
   * Whether each transaction that began before this call and may still write has ended. Such a transaction does not see
   * later commits. Waits for a short time.
   */
  earlierWritersEnded(): Promise<boolean>
  /** Resolves when no cutover is under way. Rejects if the data has moved to a database that this process does not know. */
  settled(): Promise<void>
  /** Refuses new calls, finishes the accepted ones, deletes these consumers from the log, then closes. */
  close(consumers?: readonly string[]): Promise<void>
}

const USE_TX =
  'The store was used inside its own transaction, where it would wait for itself. Use the `tx` that the callback was given.'
const USE_INNER_TX =
  'A transaction was used inside a savepoint of it, where it would wait for itself. Use the `tx` of the innermost callback.'

/** The guard's view of a transaction or a savepoint. */
interface Endable {
  readonly ended: boolean
}
interface Scope {
  readonly transaction: Endable
  readonly outer: Scope | undefined
}

/**
 * Detects a deadlock with oneself: a transaction's callback uses the store or an outer transaction. Each store has one
 * guard. Work that outlives its transaction may use the store again.
 */
export class TransactionGuard {
  readonly #scopes = new AsyncLocalStorage<Scope>()

  /** Runs the callback of a transaction or a savepoint. */
  run<T>(transaction: Endable, work: () => Promise<T>): Promise<T> {
    return this.#scopes.run({ transaction, outer: this.#scopes.getStore() }, work)
  }

  /** The error if the caller runs inside a transaction of this store. */
  misuseOfStore(): StorageError | undefined {
    for (let scope = this.#scopes.getStore(); scope !== undefined; scope = scope.outer) {
      if (!scope.transaction.ended) return misuse(USE_TX)
    }
    return undefined
  }

  /** The error if the caller runs inside a savepoint of this transaction. */
  misuseOf(transaction: Endable): StorageError | undefined {
    let inner = false
    for (let scope = this.#scopes.getStore(); scope !== undefined; scope = scope.outer) {
      if (scope.transaction === transaction) return inner ? misuse(USE_INNER_TX) : undefined
      if (!scope.transaction.ended) inner = true
    }
    return undefined
  }
}
