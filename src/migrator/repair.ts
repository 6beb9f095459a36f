/** What a repair may do, and what it did. */
import { StorageError } from '../errors.ts'
import type { Difference, Drift } from './drift.ts'
import type { MigrationStatus } from './ledger.ts'

export interface RepairOptions {
  readonly busyTimeoutMs: number
  readonly now: Date
  /** Undoes everything again. */
  readonly dryRun: boolean
}

export interface RepairReport {
  /** What was made again. */
  readonly repaired: readonly Difference[]
  /** What has to be put right by hand. */
  readonly remaining: readonly Difference[]
  /** Where a SQLite file was copied to before a table of it was built anew. */
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

/** While more than an index was gone, a write may have invalidated no path and reported no change. */
export const mayHaveMissedWrites = ({ repaired }: RepairReport): boolean =>
  repaired.some(({ part }) => part !== 'index')

/** Throws what keeps a database from being repaired. */
export function assertRepairable({ applied, newer }: MigrationStatus, isUnrecorded: boolean): void {
  if (isUnrecorded)
    throw new StorageError('SCHEMA_MISMATCH', 'No migration is recorded as applied. Run meshstore migrate adopt.')
  if (applied.length === 0)
    throw new StorageError('CONFIG', 'The database has no tables of ours. Run meshstore migrate up.')
  if (newer.length > 0)
    throw new StorageError('SCHEMA_NEWER', `A newer version of this package made the tables. Repair with that version.`)
}

/** Throws SCHEMA_MISMATCH for a table whose rows are gone. */
export function assertTablesLeft({ differences }: Drift): void {
  const tables = differences.filter(({ part }) => part === 'table').map(({ table }) => table)
  if (tables.length === 0) return
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `Tables are gone, with their rows: ${tables.join(', ')}. Nothing was changed. Restore a backup: meshstore restore.`,
  )
}

/** `error` came from making it again, and is translated. */
export function repairFailed(error: unknown): unknown {
  if (!(error instanceof StorageError) || !BROKEN_RULE.has(error.code)) return error
  return new StorageError(
    'SCHEMA_MISMATCH',
    `Rows break a rule that is to be made again. Nothing was changed. Correct the rows that meshstore check names, then repair. (${error.message})`,
    { cause: error.cause ?? error },
  )
}

const BROKEN_RULE: ReadonlySet<string> = new Set(['CORRUPT', 'CONFLICT', 'ALREADY_EXISTS'])
