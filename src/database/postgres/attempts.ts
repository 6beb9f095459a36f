/** Statements and transactions that are run again as long as others are in their way. */
import { StorageError } from '../../errors.ts'
import { performance, sleep } from '../../event-loop.ts'
import type { TransactionEvent } from '../../tracing.ts'
import { jittered, nextPause } from '../backoff.ts'
import type { Written } from '../session.ts'
import type { BoundStatement } from '../statement.ts'
import { type Attempted, attempt, type Environment, type Work } from './attempt.ts'
import type { Batch } from './batch.ts'
import type { TransactionLimits } from './callers-transaction.ts'
import type { PostgresConnection } from './connection.ts'
import {
  isBusy,
  isConflict,
  isConnectionLost,
  isLockTimeout,
  isStaleStatement,
  translated,
  translatedWrite,
} from './errors.ts'
import { beginning, type PoolOptions } from './pool.ts'
import { commitBatch } from './session-control.ts'
import type { BatchLimits, BatchOutcome } from './write-lane.ts'

export interface AttemptOptions extends PoolOptions {
  /** How long a single statement is run again when others are in its way. */
  readonly busyTimeoutMs: number
}

/**
 * A sequential scan is a conflict with everybody who writes to the table. A deferred constraint refuses a call as it would refuse
 * the call alone, even if a later call of the batch deletes the row.
 */
export const TOGETHER =
  'SET LOCAL enable_seqscan=off; SET LOCAL enable_hashjoin=off; SET LOCAL enable_mergejoin=off; SET CONSTRAINTS ALL IMMEDIATE'
/** How often a batch runs into conflicts before it is halved. */
const BATCH_ATTEMPTS = 5

interface Failed {
  readonly error: unknown
  readonly attempts: number
  /** When the first attempt began: it may have waited for a connection. */
  readonly since: number
}

/** Everything here needs a slot. Rejects with StorageErrors. */
export class Attempts {
  readonly #on: Environment
  readonly #options: AttemptOptions

  constructor(on: Environment & { readonly options: AttemptOptions }) {
    this.#on = on
    this.#options = on.options
  }

  async read<R>(bound: BoundStatement<R>): Promise<R[]> {
    const once = (connection: PostgresConnection): Promise<Written<R>> =>
      // For the session nothing can be set there: the isolation is this transaction's.
      this.#options.mode === 'session' ? connection.run(bound) : this.#alone(connection, bound)
    const isWorthwhile = (failed: Failed): boolean =>
      this.#isConflictToRetry(failed) || (failed.attempts === 1 && mayDiffer(failed.error))
    try {
      return (await this.#again(once, isWorthwhile)).rows
    } catch (error) {
      throw translated(error)
    }
  }

  /** A write that names no row. Its transaction is one packet. */
  async write<R>(bound: BoundStatement<R>): Promise<Written<R>> {
    const isWorthwhile = (failed: Failed): boolean =>
      this.#isConflictToRetry(failed) || (failed.attempts === 1 && isStaleStatement(failed.error))
    try {
      return await this.#again((connection) => this.#alone(connection, bound), isWorthwhile)
    } catch (error) {
      throw translatedWrite(error)
    }
  }

  async #alone<R>(connection: PostgresConnection, bound: BoundStatement<R>): Promise<Written<R>> {
    const begin = beginning({ ...this.#options, lockTimeoutMs: this.#options.lockMs })
    try {
      const [written] = await connection.packet(begin, [bound], 'COMMIT')
      return written as Written<R>
    } catch (error) {
      if (!isConnectionLost(error)) await connection.control('ROLLBACK').catch(() => {})
      throw error
    }
  }

  #isConflictToRetry({ error, since }: Failed): boolean {
    return isConflict(error) && performance.now() <= since + this.#options.busyTimeoutMs
  }

  /** Rejects with what no smaller batch would be spared. */
  async commit(batch: Batch, { lockMs, retryUntil }: BatchLimits): Promise<BatchOutcome> {
    const isAlone = batch.items.length === 1
    const settings = beginning({ ...this.#options, lockTimeoutMs: lockMs })
    const begin = isAlone ? settings : `${settings}; ${TOGETHER}`
    let isCommitting = false
    const once = (connection: PostgresConnection): Promise<BatchOutcome> => {
      isCommitting = false
      return commitBatch(connection, begin, batch, () => {
        isCommitting = true
      })
    }
    const isWorthwhile = ({ error, attempts }: Failed): boolean => {
      if (isConnectionLost(error)) return !isCommitting && attempts === 1
      if (performance.now() < retryUntil) return true
      return attempts < BATCH_ATTEMPTS && !isLockTimeout(error)
    }
    try {
      return await this.#again(once, isWorthwhile, { byIndex: !isAlone })
    } catch (failure) {
      const error = isCommitting ? translatedWrite(failure) : translated(failure)
      if (isBusy(error)) return { refused: error }
      throw error
    }
  }

  /** Once, and then as often as it is worthwhile. Throws StorageErrors where there was no connection, else the driver's. */
  async #again<T>(
    work: (connection: PostgresConnection) => Promise<T>,
    isWorthwhile: (failed: Failed) => boolean,
    { byIndex = false }: { byIndex?: boolean } = {},
  ): Promise<T> {
    const { connections } = this.#on
    let since: number | undefined
    const once = async (): Promise<T> => {
      const connection = await connections.open({ byIndex })
      const begun = performance.now()
      since ??= begun
      try {
        const result = await work(connection)
        connection.release()
        return result
      } catch (error) {
        connection.release(error)
        connections.noteSilence(translated(error), begun)
        throw error
      }
    }
    for (let attempts = 1, pause = 1; ; attempts++, pause = nextPause(pause)) {
      try {
        return await connections.slots.while(once, attempts > 1)
      } catch (error) {
        const isRefusal = error instanceof StorageError || since === undefined
        if (isRefusal || !isWorthwhile({ error, attempts, since: since ?? 0 })) throw error
      }
      await sleep(jittered(pause))
    }
  }

  /** Runs `work` again from its beginning: a unit of the library's own, or a caller's transaction that only reads. */
  async transaction<T>(work: Work<T>, limits: TransactionLimits, event: TransactionEvent): Promise<T> {
    const { slots, writers } = this.#on.connections
    // Time runs from the first attempt on, not while it waits for a connection.
    let begun = 0
    const passedMs = (): number => performance.now() - begun
    const once = (): Promise<Attempted<T>> => {
      if (event.attempts++ === 0) begun = performance.now()
      return attempt(this.#on, work, limits, { passedMs })
    }
    const asWriter = async (): Promise<Attempted<T>> => {
      const attempted = await once()
      if ('result' in attempted) writers.succeeded()
      else writers.conflicted()
      return attempted
    }
    const run = limits.readOnly ? once : () => writers.while(asWriter, event.attempts > 0)
    for (let pause = 1; ; pause = nextPause(pause)) {
      const attempted = await slots.while(run, event.attempts > 0)
      if ('result' in attempted) return attempted.result
      if (event.attempts >= limits.attempts || passedMs() >= limits.retryMs) throw attempted.inTheWay
      await sleep(jittered(pause))
    }
  }
}

/** Another attempt may fare better: on another connection, or prepared anew. */
const mayDiffer = (error: unknown): boolean => isStaleStatement(error) || isConnectionLost(error)
