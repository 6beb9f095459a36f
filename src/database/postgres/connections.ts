/** The connections of a pool: how many are used at once, and what all learn of a server that is away. */
import type pg from 'pg'
import { StorageError } from '../../errors.ts'
import { performance } from '../../event-loop.ts'
import { AdaptiveLimiter } from './adaptive-limiter.ts'
import { PostgresConnection, StatementNames } from './connection.ts'
import { asLost, sqlstateOf, translated } from './errors.ts'
import { located, type PoolOptions } from './pool.ts'

const LOST: ReadonlySet<string> = new Set(['UNAVAILABLE', 'OUTCOME_UNKNOWN'])
/** For calls that wait: nothing of theirs was sent, whatever became of the call that found out. */
const unsent = (error: StorageError): StorageError =>
  error.code === 'UNAVAILABLE'
    ? error
    : new StorageError(
        'UNAVAILABLE',
        'The server does not answer. Nothing was sent to it. Check the server, then try again.',
        { cause: error },
      )

export class Connections {
  readonly #pool: pg.Pool
  readonly #options: PoolOptions
  /** One for each connection of the pool. */
  readonly slots: AdaptiveLimiter
  /** Transactions of many statements that write. A slot is taken first: the other order would be a deadlock. */
  readonly writers: AdaptiveLimiter
  /** Callers' transactions may wait for other calls, which need a connection. */
  readonly callers: AdaptiveLimiter
  readonly #names: StatementNames | undefined
  /** A prepared statement keeps the plan that was made under other settings. */
  readonly #namesByIndex: StatementNames | undefined

  constructor(pool: pg.Pool, options: PoolOptions) {
    this.#pool = pool
    this.#options = options
    const { max, mode } = options
    this.slots = new AdaptiveLimiter(max)
    this.writers = new AdaptiveLimiter(max)
    this.callers = new AdaptiveLimiter(Math.max(1, max - 1))
    this.#names = mode === 'session' ? new StatementNames('') : undefined
    this.#namesByIndex = mode === 'session' ? new StatementNames('by_index_') : undefined
  }

  /** Throws StorageErrors. Needs a slot. `byIndex`: its plans are made where tables are not scanned. */
  async open({ byIndex = false }: { byIndex?: boolean } = {}): Promise<PostgresConnection> {
    try {
      const names = byIndex ? this.#namesByIndex : this.#names
      return new PostgresConnection(await this.#pool.connect(), names, this.#options.statementMs)
    } catch (thrown) {
      const failure = located(thrown, this.#pool)
      // No settings are asked for there, which it could refuse.
      const error = translated(this.#options.mode === 'transaction' ? asLost(failure) : failure)
      if (sqlstateOf(failure) === undefined) this.#refuseWaiting(error)
      throw error
    }
  }

  /** Not even the server's own time limit was answered: it is gone, or stands still, and the others need not wait. */
  noteSilence(error: unknown, since: number): void {
    const silent = performance.now() - since > this.#options.statementMs
    if (silent && error instanceof StorageError && LOST.has(error.code)) this.#refuseWaiting(unsent(error))
  }

  #refuseWaiting(error: unknown): void {
    for (const limiter of [this.slots, this.writers, this.callers]) limiter.refuseWaiting(error)
  }
}
