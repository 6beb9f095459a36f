import type pg from 'pg'
import { performance, sleep } from '../../event-loop.ts'
import { jittered } from '../backoff.ts'
import { isServerLost, isUnknown } from './errors.ts'
import { PatientPool } from './patient-pool.ts'

/** Covers a failover of a cluster, and the restart of a server. In milliseconds. */
export const FAILOVER_MS = 30_000
const PAUSE_MS = 20

/** How long a call goes on after it has lost the server. */
export class Failover {
  readonly #forMs: number
  #until: number | undefined

  /** In milliseconds. */
  constructor(forMs = 0) {
    this.#forMs = forMs
  }

  /** Time runs from the first loss. */
  goesOn(): boolean {
    if (this.#forMs === 0) return false
    this.#until ??= performance.now() + this.#forMs
    return performance.now() < this.#until
  }
}

/**
 * Runs work again after the loss of the server, also if its COMMIT may have been carried out: it must come to the same if it is done
 * twice.
 */
export async function surviving<T>(pool: pg.Pool, work: () => Promise<T>): Promise<T> {
  if (!(pool instanceof PatientPool)) return work()
  const failover = new Failover(pool.failoverMs)
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(isServerLost(error) || isUnknown(error)) || !failover.goesOn()) throw error
    }
    await sleep(jittered(PAUSE_MS))
  }
}
