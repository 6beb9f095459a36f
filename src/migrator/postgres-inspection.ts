import type pg from 'pg'
import { translated } from '../database/postgres/errors.ts'
import { located } from '../database/postgres/pool.ts'
import { openSingle } from '../database/postgres/single.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { longestMatch, refusedStatus, type Status, statusFrom } from './inspection.ts'
import { type Migration, migrationsOf } from './migrations.ts'
import { postgresDrift } from './postgres-drift.ts'
import { isUnrecorded, ledgerOf, locked, record, refuseUnrecorded, standingOf } from './postgres-migrator.ts'
import { timeOf } from './steps.ts'

/** Changes nothing. */
export const inspectPostgres = (target: PostgresTarget, busyTimeoutMs = 5_000): Promise<Status> =>
  withPool(target, busyTimeoutMs, async (pool) => {
    const nothing = {
      dialect: 'postgresql',
      applied: [],
      pending: [],
      newer: [],
      foreign: [],
      drift: undefined,
      others: [],
    } as const
    try {
      const standing = await standingOf(pool)
      if (standing.applied.length === 0) await refuseUnrecorded(pool)
      return statusFrom('postgresql', standing, await postgresDrift(pool, standing.applied))
    } catch (error) {
      const unrecorded = await isUnrecorded(pool).catch(() => false)
      return { ...refusedStatus(nothing, translated(located(error, pool))), ...(unrecorded && { unrecorded }) }
    }
  })

/**
 * Records in the ledger that the tables are as the migrations make them: a database of ours that lost its ledger. Returns
 * the tags, none if there was a ledger.
 */
export const baselinePostgres = (target: PostgresTarget, busyTimeoutMs: number): Promise<string[]> =>
  withPool(target, busyTimeoutMs, (pool) =>
    locked(pool, async (client) => {
      if (!(await isUnrecorded(client))) return []
      const drift = (migrations: readonly Migration[]) => postgresDrift(pool, migrations)
      const made = await longestMatch(migrationsOf('postgresql'), (await ledgerOf(client)).notes, drift)
      for (const migration of made) await record(client, migration, timeOf({}))
      return made.map(({ tag }) => tag)
    }),
  )

/** Two connections: the lock is held on one while the other compares. */
async function withPool<T>(target: PostgresTarget, lockMs: number, use: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const pool = openSingle(target, { busyTimeoutMs: lockMs, max: 2 })
  try {
    return await use(pool)
  } catch (error) {
    throw translated(located(error, pool))
  } finally {
    await pool.end()
  }
}
