/** A pool's connections, and the refusal of waiting calls when the server is away. */
import type pg from 'pg'
import { StorageError } from '../../errors.ts'
import { performance } from '../../event-loop.ts'
import { StatementNames } from './connection.ts'
import type { PoolOptions } from './pool.ts'
import { Slots } from './slots.ts'

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
  readonly slots: Slots
  readonly names: StatementNames | undefined
  /** Names of statements that are planned with other settings: a prepared statement keeps its plan. */
  readonly namesByIndex: StatementNames | undefined

  constructor(pool: pg.Pool, options: PoolOptions) {
    this.pool = pool
    this.options = options
    const { max, mode } = options
    this.slots = new Slots(max)
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
    this.slots.refuseWaiting(error)
  }
}
