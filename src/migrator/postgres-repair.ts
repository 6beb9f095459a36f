/** Recreates missing triggers, trigger functions, indexes, keys and CHECKs of our tables in PostgreSQL. */
import type pg from 'pg'
import { translated } from '../database/postgres/errors.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { StorageError } from '../errors.ts'
import type { Drift } from './drift.ts'
import { assertNoMove } from './ledger.ts'
import type { Migration } from './migrations.ts'
import { postgresDrift } from './postgres-drift.ts'
import { forgetWhatFollowedWrites } from './postgres-forget.ts'
import { locked } from './postgres-lock.ts'
import { asOwner, isUnrecorded, ledgerOf, migrationStatusOf } from './postgres-migrator.ts'
import { withPool } from './postgres-pool.ts'
import {
  assertRepairable,
  assertTablesLeft,
  mayHaveMissedWrites,
  type RepairOptions,
  type RepairReport,
  repairFailed,
  reportFrom,
} from './repair.ts'

/** Repairs in one transaction. Throws SCHEMA_MISMATCH if a difference cannot be repaired; then nothing was changed. */
export const repairPostgres = (target: PostgresTarget, options: RepairOptions): Promise<RepairReport> =>
  withPool(target, options.busyTimeoutMs, (pool) =>
    locked(pool, {
      work: async (client) => {
        const migrations = await migrationStatusOf(client)
        assertRepairable(migrations, await isUnrecorded(client))
        assertNoMove(await ledgerOf(client))
        if (options.dryRun) await client.query('SAVEPOINT dry_run')
        const report = await repairIn(client, migrations.applied, options.now)
        if (options.dryRun) await client.query('ROLLBACK TO SAVEPOINT dry_run')
        return report
      },
    }),
  )

/** Must run inside a transaction. Waits for transactions that write our tables, and blocks new ones. */
export async function repairIn(client: pg.PoolClient, applied: readonly Migration[], now: Date): Promise<RepairReport> {
  const before = await driftOn(client, applied)
  assertTablesLeft(before)
  try {
    for (const statement of remedies(before)) await client.query(statement)
    const report = reportFrom(before, await driftOn(client, applied))
    if (mayHaveMissedWrites(report)) await forgetWhatFollowedWrites(client, now)
    return report
  } catch (error) {
    throw repairFailed(asOwner(translated(error)))
  }
}

async function driftOn(client: pg.PoolClient, applied: readonly Migration[]): Promise<Drift> {
  const drift = await postgresDrift(client, applied)
  if (drift !== undefined) return drift
  throw new StorageError(
    'CONFIG',
    'The role may not make temporary tables to compare with. Nothing was changed. Repair as the owner.',
  )
}

function remedies({ differences, lost }: Drift): string[] {
  const constraints = differences.filter(({ part, kind }) => part === 'constraint' && kind === 'missing')
  return [
    ...constraints.flatMap(({ table, what }) => [
      `ALTER TABLE ${table} DROP CONSTRAINT IF EXISTS ${what.split(' ')[1]}`,
      `ALTER TABLE ${table} ADD ${what}`,
    ]),
    ...lost.flatMap(({ kind, name, table, sql }) => [
      kind === 'index' ? `DROP INDEX IF EXISTS ${name}` : `DROP TRIGGER IF EXISTS ${name} ON ${table}`,
      ...sql,
    ]),
  ]
}
