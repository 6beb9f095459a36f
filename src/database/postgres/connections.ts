/**
 * Admission to a pool's connections, and the refusal of waiting calls when the server is away.
 *
 * - `callers`: callers' transactions. They may wait for other calls, which need a connection: one stays free.
 * - `slots`: all work. In the driver's pool, work would wait against the limit for connecting.
 * - `writers`: writing transactions of many statements. After conflicts fewer run at once, or they would starve each other.
 *
 * Work takes them in this order, and waits with one only for the next: no two wait for each other. Above them are two more
 * limits: `maxPendingWrites`, which refuses calls, and the batches that the write lane runs at the same time.
 */
import type pg from 'pg'
import { StorageError } from '../../errors.ts'
import { performance } from '../../event-loop.ts'
import { AdaptiveLimiter } from './adaptive-limiter.ts'
import { StatementNames } from './connection.ts'
import type { PoolOptions } from './pool.ts'

const LOST: ReadonlySet<string> = new Set(['UNAVAILABLE', 'OUTCOME_UNKNOWN'])
/** The error for waiting calls: nothing of them was sent. */
const unsent = (error: StorageError): StorageError =>
  error.code === 'UNAVAILABLE'
    ? error
    : new StorageError(
        'UNAVAILABLE',
        'The server does not answer. Nothing was sent to it. Check the server, then try again.',
        { cause: error },
      )

export class Connections {
  readonly pool: pg.Pool
  readonly options: PoolOptions
  /** One slot for each connection of the pool. */
  readonly slots: AdaptiveLimiter
  /** Writing transactions of many statements. They take a slot first: the other order would be a deadlock. */
  readonly writers: AdaptiveLimiter
  /** Callers' transactions leave one connection free: they may wait for other calls, which need a connection. */
  readonly callers: AdaptiveLimiter
  readonly names: StatementNames | undefined
  /** Names of statements that are planned with other settings: a prepared statement keeps its plan. */
  readonly namesByIndex: StatementNames | undefined

  constructor(pool: pg.Pool, options: PoolOptions) {
    this.pool = pool
    this.options = options
    const { max, mode } = options
    this.slots = new AdaptiveLimiter(max)
    this.writers = new AdaptiveLimiter(max)
    this.callers = new AdaptiveLimiter(Math.max(1, max - 1))
    this.names = mode === 'session' ? new StatementNames('') : undefined
    this.namesByIndex = mode === 'session' ? new StatementNames('by_index_') : undefined
  }

  /** Whether calls wait for a server that was lost. */
  get survivesLoss(): boolean {
    return (this.options.failoverMs ?? 0) > 0
  }

  /** The server did not even report its own time limit: it is away, so refuse the waiting calls, unless they wait for a failover. */
  noteSilence(error: unknown, since: number): void {
    if (this.survivesLoss) return
    const silent = performance.now() - since > this.options.statementMs
    if (silent && error instanceof StorageError && LOST.has(error.code)) this.refuseWaiting(unsent(error))
  }

  refuseWaiting(error: unknown): void {
    for (const limiter of [this.slots, this.writers, this.callers]) limiter.refuseWaiting(error)
  }
}
