/** Single statements and batches, which run again as long as others are in their way. */
import { StorageError } from '../../errors.ts'
import { performance, sleep } from '../../event-loop.ts'
import { statementTracing, traceRefusal, traceRetry } from '../../tracing.ts'
import { jittered, nextPause } from '../backoff.ts'
import type { Written } from '../session.ts'
import type { BoundStatement } from '../statement.ts'
import type { Environment } from './attempt.ts'
import type { Batch } from './batch.ts'
import { openConnection, type PostgresConnection } from './connection.ts'
import {
  isBusy,
  isConflict,
  isConnectionLost,
  isLockTimeout,
  isServerLost,
  isStaleStatement,
  reasonOf,
  translated,
  translatedWrite,
} from './errors.ts'
import { Failover } from './failover.ts'
import { type Outcomes, Unanswered } from './outcomes.ts'
import { beginning, type PoolOptions } from './pool.ts'
import { type Committing, commitBatch, commitOne } from './session-control.ts'
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
      this.#options.mode === 'session' ? connection.run(bound) : commitOne(connection, bound, this.#reading())
    const isWorthwhile = (failed: Failed): boolean =>
      this.#isConflictToRetry(failed) || (failed.attempts === 1 && mayDiffer(failed.error))
    try {
      return (await this.#again(once, isWorthwhile)).rows
    } catch (error) {
      // There was no connection: the driver's own errors come from a statement, which has its event.
      if (error instanceof StorageError && error.code === 'UNAVAILABLE')
        traceRefusal(statementTracing, { name: bound.compiled.name }, error)
      throw translated(error)
    }
  }

  #reading(): Committing {
    return { begin: this.#beginning(), token: undefined, onCommit: () => {} }
  }

  #beginning(lockTimeoutMs = this.#options.lockMs): string {
    return beginning({ ...this.#options, lockTimeoutMs })
  }

  /** A write that names no row. */
  async write<R>(bound: BoundStatement<R>): Promise<Written<R>> {
    const begin = this.#beginning()
    const unit = new Unit()
    const once = (connection: PostgresConnection): Promise<Written<R>> =>
      commitOne(connection, bound, unit.begun(begin, this.#on.outcomes))
    const isWorthwhile = (failed: Failed): boolean =>
      this.#isConflictToRetry(failed) || (failed.attempts === 1 && isStaleStatement(failed.error))
    try {
      return await this.#again(once, isWorthwhile, { unit })
    } catch (error) {
      throw unit.isCommitting ? translatedWrite(error) : translated(error)
    }
  }

  #isConflictToRetry({ error, since }: Failed): boolean {
    return isConflict(error) && performance.now() <= since + this.#options.busyTimeoutMs
  }

  /** Rejects with what no smaller batch would be spared. */
  async commit(batch: Batch, { lockMs, retryUntil }: BatchLimits): Promise<BatchOutcome> {
    const isAlone = batch.items.length === 1
    const settings = this.#beginning(lockMs)
    const begin = isAlone ? settings : `${settings}; ${TOGETHER}`
    const unit = new Unit()
    const once = (connection: PostgresConnection): Promise<BatchOutcome> =>
      commitBatch(connection, batch, unit.begun(begin, this.#on.outcomes))
    const isWorthwhile = ({ error, attempts }: Failed): boolean => {
      if (isConnectionLost(error)) return !unit.isCommitting && attempts === 1
      if (performance.now() < retryUntil) return true
      return attempts < BATCH_ATTEMPTS && !isLockTimeout(error)
    }
    try {
      return await this.#again(once, isWorthwhile, { byIndex: !isAlone, unit })
    } catch (failure) {
      const error = unit.isCommitting ? translatedWrite(failure) : translated(failure)
      if (isBusy(error)) return { refused: error }
      throw error
    }
  }

  /**
   * Once, and then as often as it is worthwhile. After the loss of the server: until `failoverMs` have passed. Throws StorageErrors
   * where there was no connection, else the driver's.
   */
  async #again<T>(
    work: (connection: PostgresConnection) => Promise<T>,
    isWorthwhile: (failed: Failed) => boolean,
    { byIndex = false, unit }: { byIndex?: boolean; unit?: Unit } = {},
  ): Promise<T> {
    const { connections } = this.#on
    let failover: Failover | undefined
    let since: number | undefined
    const once = async (): Promise<T> => {
      const connection = await openConnection(connections, { byIndex })
      const begun = performance.now()
      since ??= begun
      try {
        const result = await work(connection)
        connection.release()
        return result
      } catch (thrown) {
        const error = thrown instanceof Unanswered ? thrown.error : thrown
        connection.release(error)
        connections.noteSilence(translated(error), begun)
        if (!(thrown instanceof Unanswered)) throw error
        if (await this.#on.outcomes?.wasCommitted(thrown.token, error)) return thrown.result as T
        unit?.wasUndone()
        throw error
      }
    }
    for (let attempts = 1, pause = 1; ; attempts++, pause = nextPause(pause)) {
      try {
        return await connections.slots.while('call', once, attempts > 1)
      } catch (error) {
        const isLost = since !== undefined && unit?.isCommitting !== true && isServerLost(error)
        failover ??= new Failover(this.#options.failoverMs)
        if (!(isLost && failover.goesOn())) {
          const isRefusal = error instanceof StorageError || since === undefined
          if (isRefusal || !isWorthwhile({ error, attempts, since: since ?? 0 })) throw error
        }
        traceRetry(unit === undefined ? 'statement' : 'commit', reasonOf(error))
      }
      await sleep(jittered(pause))
    }
  }
}

/** The state of a unit that may run several times. */
class Unit {
  /** COMMIT was sent, and the outcome is not known. */
  isCommitting = false

  begun(begin: string, outcomes: Outcomes | undefined): Committing {
    this.isCommitting = false
    const onCommit = (): void => {
      this.isCommitting = true
    }
    return { begin, token: outcomes?.token(), onCommit }
  }

  wasUndone(): void {
    this.isCommitting = false
  }
}

/** Another attempt may fare better: on another connection, or prepared anew. */
const mayDiffer = (error: unknown): boolean => isStaleStatement(error) || isConnectionLost(error)
