import type pg from 'pg'
import { translated } from '../database/postgres/errors.ts'
import { located } from '../database/postgres/pool.ts'
import { openSingle } from '../database/postgres/single.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'

/** Runs `work` with a pool for one command. Throws StorageErrors. */
export async function withPool<T>(
  target: PostgresTarget,
  busyTimeoutMs: number,
  use: (pool: pg.Pool) => Promise<T>,
): Promise<T> {
  await using pool = openSingle(target, { busyTimeoutMs })
  try {
    return await use(pool)
  } catch (error) {
    throw translated(located(error, pool))
  }
}
