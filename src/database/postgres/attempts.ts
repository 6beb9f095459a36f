/** Statements and transactions on the connections of a pool, run again as long as others are in their way. */

import type pg from 'pg'
import { StorageError } from '../../errors.ts'
import { performance, sleep } from '../../event-loop.ts'
import type { TransactionEvent } from '../../tracing.ts'
import { jittered, nextPause } from '../backoff.ts'
import type { TransactionGuard, TransactionLimits, Written } from '../session.ts'
import type { BoundStatement, StatementCompiler } from '../statement.ts'
import { OpenTransaction, withinTime } from '../transaction.ts'
import { PostgresConnection, PostgresExecutor, StatementNames } from './connection.ts'
import {
  asLost,
  isConflict,
  isConnectionLost,
  isStaleStatement,
  mayRunAgain,
  sqlstateOf,
  translated,
  translatedWrite,
} from './errors.ts'
import { beginning, located, type PoolOptions } from './pool.ts'
import { begin, commit, settle } from './session-control.ts'
import { Slots } from './slots.ts'

const LOST: ReadonlySet<string> = new Set(['UNAVAILABLE', 'OUTCOME_UNKNOWN'])
/** For those who wait: nothing of theirs was sent, whatever became of the one that found out. */
const unsent = (error: StorageError): StorageError =>
  error.code === 'UNAVAILABLE'
    ? error
    : new StorageError('UNAVAILABLE', 'The server does not answer; nothing was sent to it.', { cause: error })

/** What an attempt at a transaction came to. Everything else is thrown. */
type Attempted<T> = { readonly result: T } | { readonly inTheWay: unknown }

class FromCallback {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

interface RetryLimits extends Omit<TransactionLimits, 'timeoutMs'> {
  /** How long an attempt and those before it may take. `undefined`: no limit. */
  readonly timeoutMs: number | undefined
  /** How long it is tried again. */
  readonly retryMs: number
}

export interface AttemptOptions extends PoolOptions {
  /** How long a single statement is run again when others are in its way. */
  readonly busyTimeoutMs: number
}

/** Who comes waits for a slot, and those who have been in each other's way wait before the others. */
export class Attempts {
  readonly #pool: pg.Pool
  readonly #compiler: StatementCompiler
  readonly #guard: TransactionGuard
  readonly #options: AttemptOptions
  readonly #names: StatementNames | undefined
  readonly #slots: Slots
  /** Of transactions that write. */
  readonly #writers: Slots

  constructor(
    pool: pg.Pool,
    { compiler, guard }: { compiler: StatementCompiler; guard: TransactionGuard },
    options: AttemptOptions,
  ) {
    this.#pool = pool
    this.#compiler = compiler
    this.#guard = guard
    this.#options = options
    this.#names = options.mode === 'session' ? new StatementNames() : undefined
    this.#slots = new Slots(options.max)
    this.#writers = new Slots(options.max)
  }

  /** Anything that takes a connection of the pool by itself. */
  inSlot<T>(work: () => Promise<T>): Promise<T> {
    return this.#slots.while(work)
  }

  /** A statement that is a transaction by itself. Rejects with StorageErrors. */
  async single<R>(bound: BoundStatement<R>, kind: 'read' | 'write'): Promise<Written<R>> {
    // Time runs from the first attempt on, not while it waits for a connection.
    let deadline: number | undefined
    const attempt = (): Promise<Written<R>> => {
      deadline ??= performance.now() + this.#options.busyTimeoutMs
      return this.#runSingle(bound)
    }
    let again = true
    for (let pause = 1; ; pause = nextPause(pause)) {
      try {
        return await this.#slots.while(attempt, deadline !== undefined)
      } catch (error) {
        // It was refused before it was sent.
        if (error instanceof StorageError) throw error
        if (again && (isStaleStatement(error) || (kind === 'read' && isConnectionLost(error)))) {
          // Once: prepared anew, or on another connection where nothing can have been written.
          again = false
          continue
        }
        if (!isConflict(error) || performance.now() > (deadline ?? 0)) {
          throw kind === 'write' ? translatedWrite(error) : translated(error)
        }
      }
      await sleep(jittered(pause))
    }
  }

  /** Throws the driver's errors for what was sent, and a StorageError where there was no connection to send it on. */
  async #runSingle<R>(bound: BoundStatement<R>): Promise<Written<R>> {
    const connection = await this.#connect()
    const begun = performance.now()
    try {
      const written = await this.#runOn(connection, bound)
      connection.release()
      return written
    } catch (error) {
      connection.release(error)
      this.#noteSilence(translated(error), begun)
      throw error
    }
  }

  async #runOn<R>(connection: PostgresConnection, bound: BoundStatement<R>): Promise<Written<R>> {
    if (this.#options.mode === 'session') return connection.run(bound)
    // Nothing can be set for the session: the isolation is this transaction's.
    try {
      await connection.control(beginning({ ...this.#options, lockTimeoutMs: undefined }))
      const written = await connection.run(bound)
      await connection.control('COMMIT')
      return written
    } catch (error) {
      // What the server refused stays refused, whatever becomes of this.
      if (!isConnectionLost(error)) await connection.control('ROLLBACK').catch(() => {})
      throw error
    }
  }

  /** Not even the server's own time limit was answered: it is gone, or stands still, and the others need not wait. */
  #noteSilence(error: unknown, begun: number): void {
    const silent = performance.now() - begun > this.#options.statementMs
    if (silent && error instanceof StorageError && LOST.has(error.code)) this.#refuseWaiting(unsent(error))
  }

  #refuseWaiting(error: unknown): void {
    this.#slots.refuseWaiting(error)
    this.#writers.refuseWaiting(error)
  }

  async #connect(): Promise<PostgresConnection> {
    try {
      return new PostgresConnection(await this.#pool.connect(), this.#names, this.#options.statementMs)
    } catch (thrown) {
      const failure = located(thrown, this.#pool)
      // No settings are asked for there, which it could refuse.
      const error = translated(this.#options.mode === 'transaction' ? asLost(failure) : failure)
      if (sqlstateOf(failure) === undefined) this.#refuseWaiting(error)
      throw error
    }
  }

  /** Runs `work` again from its beginning as long as others are in its way. */
  async transaction<T>(
    work: (tx: OpenTransaction) => Promise<T>,
    limits: RetryLimits,
    event: TransactionEvent,
  ): Promise<T> {
    // Time runs from the first attempt on, not while it waits for a connection.
    let begun = 0
    const attempt = (): Promise<Attempted<T>> => {
      if (event.attempts++ === 0) begun = performance.now()
      return this.#attempt(work, limits, performance.now() - begun)
    }
    const inSlot = (): Promise<Attempted<T>> => this.#slots.while(attempt, event.attempts > 0)
    for (let pause = 1; ; pause = nextPause(pause)) {
      const attempted = await (limits.readOnly ? inSlot() : this.#asWriter(inSlot, event.attempts > 0))
      if ('result' in attempted) return attempted.result
      const timeIsUp = performance.now() - begun >= limits.retryMs
      if (event.attempts >= limits.attempts || timeIsUp) throw attempted.inTheWay
      await sleep(jittered(pause))
    }
  }

  /** The more of them are in each other's way, the fewer run at once: else none would come to its end in time. */
  #asWriter<T>(attempt: () => Promise<Attempted<T>>, again: boolean): Promise<Attempted<T>> {
    return this.#writers.while(async () => {
      const attempted = await attempt()
      if ('result' in attempted) this.#writers.succeeded()
      else this.#writers.conflicted()
      return attempted
    }, again)
  }

  async #attempt<T>(
    work: (tx: OpenTransaction) => Promise<T>,
    limits: RetryLimits,
    passedMs: number,
  ): Promise<Attempted<T>> {
    const { readOnly, timeoutMs } = limits
    const connection = await this.#connect()
    const begun = performance.now()
    let failure: { readonly error: unknown } | undefined
    try {
      await begin(connection, { ...this.#options, readOnly, timeoutMs })
      const executor = new PostgresExecutor(connection, this.#compiler)
      const tx = new OpenTransaction({ executor, compiler: this.#compiler, guard: this.#guard }, { readOnly })
      const timeLeft = timeoutMs && Math.max(1, Math.round(timeoutMs - passedMs))
      const result = await withinTime(tx, work, timeLeft, timeoutMs).catch((error) => {
        // Others were in the way: the whole is run again, whatever the callback made of that.
        throw mayRunAgain(tx.doom) ? tx.doom : new FromCallback(error)
      })
      if (tx.doom !== undefined) throw tx.doom
      await commit(connection, limits)
      return { result }
    } catch (thrown) {
      const error = thrown instanceof FromCallback ? thrown.error : thrown
      failure = { error }
      this.#noteSilence(error, begun)
      // What the callback threw by itself is its own, though it may look like a conflict: of another database, for example.
      if (!(thrown instanceof FromCallback) && mayRunAgain(error)) return { inTheWay: error }
      throw error
    } finally {
      await settle(connection, failure)
    }
  }
}
