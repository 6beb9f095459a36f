import type pg from 'pg'
import { translated } from '../../database/postgres/errors.ts'
import { located } from '../../database/postgres/pool.ts'

/** Rows as arrays. Each question sees a moment of its own: a look that takes long holds nothing back. */
export type Ask = <R extends unknown[]>(sql: string, values?: readonly unknown[]) => Promise<R[]>

/**
 * Questions to a server, which change nothing. REPEATABLE READ: a server in recovery refuses what the pool's sessions begin
 * by themselves.
 */
export function asking(pool: pg.Pool): Ask {
  return async <R extends unknown[]>(sql: string, values: readonly unknown[] = []) => {
    const client = await pool.connect().catch((error) => {
      throw translated(located(error, pool))
    })
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      const { rows } = await client.query<R>({ text: sql, values: [...values], rowMode: 'array' })
      await client.query('COMMIT')
      client.release()
      return rows
    } catch (error) {
      // Ends the transaction too.
      client.release(true)
      throw translated(located(error, client))
    }
  }
}
