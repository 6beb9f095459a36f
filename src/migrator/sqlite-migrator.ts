/** Compares a file's ledger and schema with the migrations at every open. `apply-sqlite.ts` applies pending migrations. */
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../errors.ts'
import {
  assertTablesThere,
  hasOurs,
  IS_NOTE,
  LEDGER,
  type Ledger,
  lastApplied,
  type MigrationStatus,
  migrationStatus,
  pendingError,
} from './ledger.ts'
import { type Migration, migrationsOf } from './migrations.ts'
import { missingError } from './missing.ts'
import { hasTable, originOf } from './sqlite-file.ts'
import { rowsIn } from './sqlite-ledger.ts'
import { missingInSqlite } from './sqlite-missing.ts'
import type { MigrationOptions } from './steps.ts'

/**
 * Changes nothing. Resolves with whether migrations are pending. Throws if a pending migration must not be applied; else
 * what `migrationStatus()` throws, and SCHEMA_MISMATCH if rows of another program's tables cannot be kept.
 */
export async function checkSqlite(
  raw: Sqlite.Database,
  mode: 'apply' | 'check',
  options: MigrationOptions = {},
  known: readonly Migration[] = migrationsOf('sqlite'),
): Promise<boolean> {
  // One snapshot: between two reads another process could create ledger and tables.
  raw.exec('BEGIN')
  try {
    const ledger = ledgerOf(raw)
    const found = migrationStatus(known, ledger)
    if (found.pending.length === 0) {
      assertTablesThere(found, ledger)
      const problem = problemIn(raw, found, known)
      if (problem !== undefined) throw problem
      return false
    }
    const unrecorded = isUnrecorded(raw)
    if (mode === 'apply') {
      if (unrecorded) await (await import('./sqlite-adoption.ts')).assertAdoptable(raw, options)
      return true
    }
    throw unrecorded ? notAdopted() : pendingError(found)
  } finally {
    raw.exec('ROLLBACK')
  }
}

/** SCHEMA_MISMATCH if the tables of an open file lost a part. Throws what `migrationStatus()` throws. */
export const problemOf = (raw: Sqlite.Database, known = migrationsOf('sqlite')): StorageError | undefined =>
  problemIn(raw, migrationStatusOf(raw, known), known)

function problemIn(
  raw: Sqlite.Database,
  found: MigrationStatus,
  known: readonly Migration[],
): StorageError | undefined {
  if (found.pending.length > 0) return pendingError(found)
  // This version does not know a newer version's triggers.
  return found.newer.length > 0 ? undefined : missingError(missingInSqlite(raw, known))
}

const notAdopted = (): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    "Another program made the file, and it has not been adopted. Nothing was changed. Run meshstore migrate up, or open with migrate: 'apply'.",
  )

/** The last migration that was applied, or `none`. */
export const schemaVersionOf = (raw: Sqlite.Database): string => lastApplied(migrationsOf('sqlite'), ledgerOf(raw))

/** Throws what `migrationStatus()` throws. */
export const migrationStatusOf = (raw: Sqlite.Database, known = migrationsOf('sqlite')): MigrationStatus =>
  migrationStatus(known, ledgerOf(raw))

export function ledgerOf(raw: Sqlite.Database): Ledger {
  const hasState = hasTable(raw, 'meshstore_state')
  const notes = hasState
    ? raw.prepare<[], [string, string]>(`SELECT name, value FROM meshstore_state WHERE ${IS_NOTE}`).raw().all()
    : []
  return { rows: rowsIn(raw, LEDGER), notes: new Map(notes), hasState }
}

/** Whether there are tables of ours that the ledger does not record. */
export const isUnrecorded = (raw: Sqlite.Database): boolean =>
  !hasOurs(migrationsOf('sqlite'), ledgerOf(raw)) && originOf(raw) !== undefined
