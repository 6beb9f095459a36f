import type pg from 'pg'
import { translated } from '../database/postgres/errors.ts'
import { located } from '../database/postgres/pool.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import type { Drift } from './drift.ts'
import { longestMatch, type RecordedMigrations, refusedStatus, type Status, statusFrom } from './inspection.ts'
import type { MigrationStatus } from './ledger.ts'
import { type Migration, migrationsOf } from './migrations.ts'
import { driftNow, postgresDrift } from './postgres-drift.ts'
import { locked } from './postgres-lock.ts'
import { isUnrecorded, ledgerOf, migrationStatusOf, record, refuseUnrecorded } from './postgres-migrator.ts'
import { missingInPostgres } from './postgres-missing.ts'
import { withPool } from './postgres-pool.ts'
import { repairIn } from './postgres-repair.ts'
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
      const migrations = await migrationStatusOf(pool)
      if (migrations.applied.length === 0) await refuseUnrecorded(pool)
      return statusFrom('postgresql', migrations, await driftIn(pool, migrations))
    } catch (error) {
      const unrecorded = await isUnrecorded(pool).catch(() => false)
      return { ...refusedStatus(nothing, translated(located(error, pool))), ...(unrecorded && { unrecorded }) }
    }
  })

/** Without temporary tables, only triggers and constraints are compared; `undefined` if these do not differ. */
async function driftIn(pool: pg.Pool, { applied, pending, newer }: MigrationStatus): Promise<Drift | undefined> {
  const drift = await driftNow(pool, applied)
  if (drift !== undefined || applied.length === 0 || pending.length > 0 || newer.length > 0) return drift
  const missing = await missingInPostgres(pool, applied)
  return missing.length === 0 ? undefined : { differences: missing, lost: [], others: [] }
}

/**
 * Records in the ledger which migrations made the tables, and creates missing triggers and indexes. Use: a database that
 * lost its ledger, or that drizzle/postgresql.sql or drizzle-kit push made. Returns no tags if there was a ledger.
 */
export const adoptPostgres = (target: PostgresTarget, busyTimeoutMs: number): Promise<RecordedMigrations> =>
  withPool(target, busyTimeoutMs, (pool) =>
    locked(pool, {
      work: async (client) => {
        if (!(await isUnrecorded(client))) return { recorded: [], repaired: [] }
        const drift = (migrations: readonly Migration[]) => postgresDrift(client, migrations)
        const made = await longestMatch(migrationsOf('postgresql'), (await ledgerOf(client)).notes, drift)
        const now = timeOf({})
        for (const migration of made) await record(client, migration, now)
        const { repaired } = await repairIn(client, made, now)
        return { recorded: made.map(({ tag }) => tag), repaired }
      },
    }),
  )
