/** Options and report of a repair. */
import { StorageError } from '../errors.ts'
import type { Difference, Drift } from './drift.ts'
import type { MigrationStatus } from './ledger.ts'

export interface RepairOptions {
  readonly busyTimeoutMs: number
  readonly now: Date
  /** Rolls the repair back: the report says what it would do. */
  readonly dryRun: boolean
}

export interface RepairReport {
  /** Parts that were recreated. */
  readonly repaired: readonly Difference[]
  /** Differences that an operator must correct by hand. */
  readonly remaining: readonly Difference[]
  /** The backup of a SQLite file, made before one of its tables was rebuilt. */
  readonly backup?: string
}

export function reportFrom(before: Drift, after: Drift): RepairReport {
  const left = new Set(after.differences.map(textOf))
  return {
    repaired: before.differences.filter((each) => each.kind === 'missing' && !left.has(textOf(each))),
    remaining: after.differences,
  }
}

const textOf = ({ table, kind, what }: Difference): string => `${table} ${kind} ${what}`

/** Whether a write may have invalidated no path and logged no change: more than an index was missing. */
export const mayHaveMissedWrites = ({ repaired }: RepairReport): boolean =>
  repaired.some(({ part }) => part !== 'index')

/** Throws the reason if a database cannot be repaired. */
export function assertRepairable({ applied, newer }: MigrationStatus, isUnrecorded: boolean): void {
  if (isUnrecorded)
    throw new StorageError(
      'SCHEMA_MISMATCH',
      'No migration is recorded as applied. Nothing was changed. Run meshstore migrate adopt.',
    )
  if (applied.length === 0)
    throw new StorageError(
      'CONFIG',
      'The database has no tables of Meshstore. Nothing was changed. Run meshstore migrate up.',
    )
  if (newer.length > 0)
    throw new StorageError(
      'SCHEMA_NEWER',
      `A newer version of this package made the tables. Nothing was changed. Repair with that version.`,
    )
}

/** Throws SCHEMA_MISMATCH if a table is missing: its rows are lost. */
export function assertTablesLeft({ differences }: Drift): void {
  const tables = differences.filter(({ part }) => part === 'table').map(({ table }) => table)
  if (tables.length === 0) return
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `Tables are gone, with their rows: ${tables.join(', ')}. Nothing was changed. Restore a backup: meshstore restore.`,
  )
}

/** `error`: the translated error of a repair's statement. */
export function repairFailed(error: unknown): unknown {
  if (!(error instanceof StorageError) || !BROKEN_RULE.has(error.code)) return error
  return new StorageError(
    'SCHEMA_MISMATCH',
    `Rows break a rule that is to be made again. Nothing was changed. Correct the rows that meshstore check names, then repair. (${error.message})`,
    { cause: error.cause ?? error },
  )
}

const BROKEN_RULE: ReadonlySet<string> = new Set(['CORRUPT', 'CONFLICT', 'ALREADY_EXISTS'])
