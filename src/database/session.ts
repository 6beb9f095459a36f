import { AsyncLocalStorage } from 'node:async_hooks'
import { misuse, type StorageError } from '../errors.ts'
import type { Statement } from './statement.ts'

export interface Written<R, F = never> {
  /** What RETURNING gave. */
  readonly rows: R[]
  /** How many rows were inserted, updated or deleted. */
  readonly changes: number
  /** Where nothing was written, and a lookup was asked for: the row as it was at that moment, if there was one. */
  readonly found?: readonly F[]
}

/** Rows that a call names. */
export interface Rows {
  readonly table: string
  readonly keys: readonly string[]
}

export interface WriteOptions<P, F = unknown> {
  /** The call's row, where its parameters are still being worked out: its place in the order is taken at once. */
  readonly rows?: Rows
  /** Reads the row at the same moment if the statement writes nothing. */
  readonly lookup?: Statement<NoInfer<P>, F> | undefined
}

/** A statement with its parameters. */
export interface Call<P, R> {
  readonly statement: Statement<P, R>
  readonly parameters: P
}

/** Some of them, which may have to be worked out first. */
export type Calls<P, R> = readonly Call<P, R>[] | Promise<readonly Call<P, R>[]>

/** Where statements run: the store itself, or a transaction on it. A repository cannot tell which. */
export interface Session {
  readonly inTransaction: boolean
  /** Why it cannot be used from here, if it cannot. */
  refusal(): StorageError | undefined
  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]>
  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined>
  /** Takes its place in the order when it is called, also where its parameters are not known yet. */
  write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    options?: WriteOptions<P, F>,
  ): Promise<Written<R, F>>
  /**
   * Runs all of the calls, in order, or none. `result` makes of each what the caller gets; if it throws, nothing of it
   * happened. `rows`: what the calls name, where they are still being worked out.
   */
  writeEach<P, R, T>(
    calls: Calls<P, R>,
    result: (written: Written<R>, call: Call<P, R>) => T,
    rows?: Rows,
  ): Promise<T[]>
  /** On the store: a transaction. In a transaction: a savepoint. */
  transaction<T>(work: (session: Session) => Promise<T>): Promise<T>
}

export interface TransactionLimits {
  readonly readOnly: boolean
  readonly timeoutMs: number
  readonly attempts: number
}

/** A change as the log has it. */
export interface LoggedChange {
  readonly table: string
  /** Of the row; of an invalidation, which paths it concerns, as JSON; `null` where all rows went at a stroke. */
  readonly key: string | null
  readonly operation: string
  /** Where the log goes on behind it. */
  readonly position: string
}

/** Where in the log a consumer is. Two logs have nothing in common: `log` is another one when it was begun anew. */
export interface LogPosition {
  readonly log: string
  readonly position: string
}

/** A part of the log. `position`: behind all of it, also where there is nothing. */
export interface LogPage {
  readonly changes: LoggedChange[]
  readonly position: string
}

/**
 * The log of what was changed, by whichever program. It is written while it has consumers, and holds all that is behind the
 * position of each of them, unless they stay away for too long. Throws StorageErrors.
 */
export interface ChangeLog {
  /** Where the consumer is registered to be. */
  at(consumer: string): Promise<LogPosition | undefined>
  /** From what is committed after this on, nothing is missed. */
  begin(consumer: string, keptUntil: Date): Promise<LogPosition>
  /** The same from an earlier position on; `false` if what came after it is gone. */
  resume(consumer: string, keptUntil: Date, from: LogPosition): Promise<boolean>
  /** Says how far the consumer has come; `false` if it was away for too long and is not known any more. */
  renew(consumer: string, keptUntil: Date, at: LogPosition): Promise<boolean>
  end(consumer: string): Promise<void>
  /**
   * The same place, in words that hold for the next second, too; `undefined` if what was read up to it is not there any more, as
   * after a fail-over that lost something.
   */
  anchor(at: LogPosition): Promise<LogPosition | undefined>
  /** Behind a position, at most so many; `undefined` if some of what came after it is gone. */
  read(from: LogPosition, limit: number): Promise<LogPage | undefined>
  /** Forgets consumers that are gone, and what nobody will read. */
  prune(now: Date): Promise<void>
}

/** One store's database, whatever the dialect. */
export interface Database {
  readonly dialect: 'sqlite' | 'postgresql'
  readonly session: Session
  readonly changeLog: ChangeLog
  transaction<T>(work: (session: Session) => Promise<T>, limits: TransactionLimits): Promise<T>
  /** Bytes of the database and of its write-ahead log, and the number of writes that wait. */
  size(): Promise<{ bytes: number; walBytes: number; queuedWrites: number }>
  /** The last migration that was applied. */
  schemaVersion(): Promise<string>
  /** SCHEMA_MISMATCH, naming what our tables have lost since, if anything. Rejects if the database cannot be asked. */
  schemaProblem(): Promise<StorageError | undefined>
  /**
   * Whether all transactions have ended that began before this was asked and may yet write: what they have not seen when they
   * began, they never see. Waits for a moment.
   */
  earlierWritersEnded(): Promise<boolean>
  /** Resolves when no change of databases is under way. Rejects if the data has moved to one that is not known here. */
  settled(): Promise<void>
  /** Finishes what was accepted, forgets these consumers of the log, then closes. Refuses everything from the call on. */
  close(consumers?: readonly string[]): Promise<void>
}

const USE_TX =
  'The store was used inside its own transaction, where it would wait for itself. Use the `tx` that the callback was given.'
const USE_INNER_TX =
  'A transaction was used inside a savepoint of it, where it would wait for itself. Use the `tx` of the innermost callback.'

/** A transaction or a savepoint, as far as the guard is concerned. */
interface Endable {
  readonly ended: boolean
}
interface Scope {
  readonly transaction: Endable
  readonly outer: Scope | undefined
}

/**
 * Finds the mistake that would wait for itself for ever: using what is outside from inside a transaction's callback.
 * One for each store. Work that outlives its transaction is outside again.
 */
export class TransactionGuard {
  readonly #scopes = new AsyncLocalStorage<Scope>()

  /** Runs the callback of a transaction or a savepoint. */
  run<T>(transaction: Endable, work: () => Promise<T>): Promise<T> {
    return this.#scopes.run({ transaction, outer: this.#scopes.getStore() }, work)
  }

  /** Why the store may not be used from here, if it may not. */
  misuseOfStore(): StorageError | undefined {
    for (let scope = this.#scopes.getStore(); scope !== undefined; scope = scope.outer) {
      if (!scope.transaction.ended) return misuse(USE_TX)
    }
    return undefined
  }

  /** Why a transaction may not be used from here: a savepoint of it is open. */
  misuseOf(transaction: Endable): StorageError | undefined {
    let inner = false
    for (let scope = this.#scopes.getStore(); scope !== undefined; scope = scope.outer) {
      if (scope.transaction === transaction) return inner ? misuse(USE_INNER_TX) : undefined
      if (!scope.transaction.ended) inner = true
    }
    return undefined
  }
}
