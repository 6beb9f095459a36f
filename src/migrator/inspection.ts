/** Inspects a database's schema without changing the database. */
import { StorageError, type StorageErrorCode } from '../errors.ts'
import { type Difference, type Drift, isAddition } from './drift.ts'
import { type Ledger, type MigrationStatus, NAME_PREFIX, refuseBreaking } from './ledger.ts'
import type { Migration } from './migrations.ts'
import type { Adopted, AdoptionReport } from './steps.ts'

/**
 * `new`: the database has no tables of ours. `current`: no migration is pending. `pending`: `up` applies migrations.
 * `adoptable`: another program made the file, and `up` adopts the file. `refused`: an operator must act; see `problem`.
 */
export type State = 'new' | 'current' | 'pending' | 'adoptable' | 'refused'

export interface Problem {
  readonly code: StorageErrorCode
  readonly message: string
}

export interface Status {
  readonly dialect: 'sqlite' | 'postgresql'
  readonly state: State
  readonly applied: readonly string[]
  readonly pending: readonly string[]
  /** Migrations that a newer version of this package applied. This version can use the database. */
  readonly newer: readonly string[]
  /** Another program's migrations in our ledger. An application's migrations belong in the ledger `__app_migrations`. */
  readonly foreign: readonly string[]
  readonly problem?: Problem
  /** The tables exist, and the ledger does not record how they were made. */
  readonly unrecorded?: boolean
  /** How our tables differ from what their migrations made. `undefined`: the comparison was not possible. */
  readonly drift: readonly Difference[] | undefined
  /** Tables, indexes and triggers of other programs. */
  readonly others: readonly string[]
  /** The recorded result of the adoption, if another program had made the file. */
  readonly adopted?: Adopted
  /** Dry run: what an adoption would do with the rows of another program's file. */
  readonly adoption?: AdoptionReport
}

/** Result of recording the migrations of a database that has our tables and no ledger. */
export interface RecordedMigrations {
  /** Tags of migrations that were recorded without being run: the tables already had their effect. */
  readonly recorded: readonly string[]
  /** Triggers and indexes that were recreated. */
  readonly repaired: readonly Difference[]
}

/** The status of a database of ours. */
export function statusFrom(
  dialect: Status['dialect'],
  { applied, pending, newer, foreign }: MigrationStatus,
  found: Drift | undefined,
): Status {
  // This version does not know a newer version's tables.
  const drift = newer.length > 0 ? undefined : found
  const state = pending.length === 0 ? 'current' : applied.length === 0 ? 'new' : 'pending'
  return {
    dialect,
    state,
    applied: applied.map(({ tag }) => tag),
    pending: pending.map(({ tag }) => tag),
    newer,
    foreign,
    drift: drift?.differences,
    others: drift?.others ?? [],
  }
}

export const refusedStatus = (nothing: Omit<Status, 'state'>, error: unknown): Status => ({
  ...nothing,
  state: 'refused',
  problem: problemOf(error),
})

/** The state of a database that an error describes. Throws every other error. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof StorageError) || !STATES.has(error.code)) throw error
  return { code: error.code, message: error.message }
}

/** Errors that describe the state of the database. BUSY is not among them. */
const STATES: ReadonlySet<string> = new Set([
  'SCHEMA_MISMATCH',
  'SCHEMA_NEWER',
  'MIGRATION_EDITED',
  'MIGRATION_MISSING',
  'MIGRATION_OUT_OF_ORDER',
])

/**
 * The longest prefix of the migrations that makes the existing tables. Missing triggers and indexes may be recreated.
 * Throws SCHEMA_MISMATCH if no prefix does.
 */
export async function longestMatch(
  known: readonly Migration[],
  notes: Ledger['notes'],
  driftFrom: (migrations: readonly Migration[]) => Promise<Drift | undefined> | Drift,
): Promise<readonly Migration[]> {
  refuseBreaking(known, notes)
  let nearest: Difference | undefined
  // A migration that changes only rows leaves no trace in the tables: trust the notes where there are any.
  const noted = known.filter(({ when }) => notes.has(`${NAME_PREFIX}${when}`)).length
  for (let count = noted || known.length; count > 0; count--) {
    const beginning = known.slice(0, count)
    const differences = (await driftFrom(beginning))?.differences.filter((each) => !isAddition(each))
    if (differences?.length === 0) return beginning
    nearest ??= differences?.[0]
  }
  const example = nearest === undefined ? '' : ` (${nearest.table}: ${nearest.kind} ${nearest.what})`
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `The tables are not as any of the migrations leaves them${example}. Nothing was recorded. Correct the tables, or restore a backup.`,
  )
}
