import type { Inserted } from './inserted-keys.ts'
import type { Call, Part, Rows, Written } from './session.ts'
import type { BoundStatement } from './statement.ts'

export type MaybePromise<T> = T | Promise<T>

/** Stays in the same turn of the event loop if possible: on SQLite no other work then runs between two statements. */
export const after = <T, U>(value: MaybePromise<T>, then: (value: T) => MaybePromise<U>): MaybePromise<U> =>
  value instanceof Promise ? value.then(then) : then(value)

/** The savepoint was set, released, or rolled back. */
export type SavepointStep = 'opened' | 'kept' | 'undone'

/** A connection inside an open transaction, for this transaction alone. Throws StorageErrors. */
export interface Executor {
  all<R>(bound: BoundStatement<R>): MaybePromise<R[]>
  first<R>(bound: BoundStatement<R>): MaybePromise<R | undefined>
  /** `undefined` if reads do not block the event loop. */
  readonly part?: <R>(bound: BoundStatement<R>) => Part<R>
  /** A write that throws has changed nothing. */
  write<R>(bound: BoundStatement<R>): MaybePromise<Written<R>>
  /**
   * Runs up to `SLICE` calls, in order, in fewer statements. A call that throws may have changed some rows: the caller rolls back to a
   * savepoint before it, or the transaction. `undefined`: the dialect gains nothing by it.
   */
  writeSlice?<P, R>(calls: readonly Call<P, R>[]): Promise<Written<R>[]>
  /** Runs the writes in order; `done` gets each outcome before the next write runs. For a dialect whose writes are synchronous. */
  writeAll?<R>(bounds: readonly BoundStatement<R>[], done: (written: Written<R>, at: number) => void): void
  /**
   * Reads the keys of inserts that found them taken, or were undone with their savepoint. `undefined` if the dialect knows that
   * the transaction depends on them.
   */
  readonly lookAt?: (inserted: Inserted) => Promise<void>
  /** Runs SAVEPOINT, RELEASE or ROLLBACK TO; `step` is its effect on the savepoint. */
  control(sql: string, savepoint: string, step: SavepointStep): MaybePromise<unknown>
  /**
   * The scope that this error ends: the whole transaction, which can no longer commit, the statements since the last savepoint, or
   * nothing.
   */
  endedBy(error: unknown): 'transaction' | 'savepoint' | 'nothing'
  /** The error of a refused call, with its row's key. `undefined`: the dialect does not name it. */
  readonly refusalOf?: <P, R>(error: unknown, call: Call<P, R>) => unknown
}

/**
 * Tells the queue of calls which rows the transaction names. Each method returns the promise that the statement must wait for, if
 * any. The promise rejects if the transaction must begin again.
 */
export interface Naming {
  call<P, R>(call: Call<P, R>, reads: boolean): Promise<void> | undefined
  calls<P, R>(calls: readonly Call<P, R>[]): Promise<void> | undefined
  rows(rows: Rows): Promise<void> | undefined
  /** The wait of the statements that were named before. */
  earlier(): Promise<void> | undefined
}
