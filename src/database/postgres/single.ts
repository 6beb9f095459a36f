/** A pool of one connection, for a copy, a move, an export or a check. Throws StorageErrors. */
import type pg from 'pg'
import { asLost, translated, translatedWrite, unreplicated } from './errors.ts'
import { FAILOVER_MS } from './failover.ts'
import { isUnreplicated, located, openPool, type PoolMode } from './pool.ts'
import type { PostgresTarget } from './url.ts'

/** Rows as arrays. */
export type Ask = <R extends unknown[]>(text: string, values?: readonly unknown[]) => Promise<R[]>

export interface SingleOptions {
  readonly busyTimeoutMs: number
  readonly mode?: PoolMode
  readonly readOnly?: boolean
  /** Maximum number of connections: 1 by default. */
  readonly max?: number
}

/** A pool that `await using` ends. */
export function openSingle(
  target: PostgresTarget,
  { busyTimeoutMs, mode = target.poolMode, readOnly = false, max = 1 }: SingleOptions,
): pg.Pool & AsyncDisposable {
  const pool = openPool(target, {
    max,
    mode,
    readOnly,
    durability: 'full',
    statementMs: target.statementMs,
    lockMs: Math.max(1, busyTimeoutMs),
    failoverMs: target.hosts.length > 1 ? FAILOVER_MS : 0,
  })
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.end() })
}

export async function connected(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    throw translated(located(error, pool))
  }
}

/** Asks on a client, and translates the driver's errors. */
export const askOn =
  (client: pg.PoolClient): Ask =>
  async <R extends unknown[]>(text: string, values: readonly unknown[] = []) => {
    try {
      const { rows } = await client.query<R>({ text, values: [...values], rowMode: 'array' })
      if (text === 'COMMIT' && isUnreplicated(client)) throw unreplicated()
      return rows
    } catch (failure) {
      // A proxy's SQLSTATE of a refused setting: settings are refused earlier.
      const error = asLost(located(failure, client))
      throw text === 'COMMIT' ? translatedWrite(error) : translated(error)
    }
  }

/** Runs `work` on one connection, then ends the connection, which rolls back an open transaction. */
export async function onSingle<T>(pool: pg.Pool, work: (ask: Ask, client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await connected(pool)
  try {
    return await work(askOn(client), client)
  } finally {
    client.release(true)
  }
}
