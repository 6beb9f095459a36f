/** What can be said of a database without changing it. */
import { StorageError, type StorageErrorCode } from '../errors.ts'
import { type Difference, type Drift, isAddition } from './drift.ts'
import { type Ledger, type MigrationStatus, NAME_PREFIX, refuseBreaking } from './ledger.ts'
import type { Migration } from './migrations.ts'
import type { Adopted, AdoptionReport } from './steps.ts'

/**
 * `new`: nothing is there. `current`: nothing is to be done. `pending`: `up` has something to apply. `adoptable`: another
 * program made it, and `up` adopts it. `refused`: a person has to look at it; `problem` says why.
 */
export type State = 'new' | 'current' | 'pending' | 'adoptable' | 'refused'

export interface Status {
  readonly dialect: 'sqlite' | 'postgresql'
  readonly state: State
  readonly applied: readonly string[]
  readonly pending: readonly string[]
  /** Applied by a newer version of this package, which this one can work with. */
  readonly newer: readonly string[]
  /** Another program's migrations in our ledger: an application's belong into one of their own, `__app_migrations`. */
  readonly foreign: readonly string[]
  readonly problem?: { readonly code: StorageErrorCode; readonly message: string }
  /** The tables are there, and no record of how they came there. */
  readonly unrecorded?: boolean
  /** How our tables differ from what their migrations made. `undefined`: it could not be found out. */
  readonly drift: readonly Difference[] | undefined
  /** Tables, indexes and triggers of others. */
  readonly others: readonly string[]
  /** What became of the rows, where another program had made the file. */
  readonly adopted?: Adopted
  /** What would become of the rows of a file that another program made. */
  readonly adoption?: AdoptionReport
}

/** What became of a database of ours without a ledger. */
export interface Takeover {
  /** Tags of migrations that were recorded without being run: the tables were as they make them. */
  readonly recorded: readonly string[]
  /** Triggers and indexes that were made again. */
  readonly repaired: readonly Difference[]
}

/** The status of a database of ours. */
export function statusFrom(
  dialect: Status['dialect'],
  { applied, pending, newer, foreign }: MigrationStatus,
  found: Drift | undefined,
): Status {
  // What a newer version made is not known here.
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

export function refusedStatus(nothing: Omit<Status, 'state'>, error: unknown): Status {
  if (!(error instanceof StorageError) || !STATES.has(error.code)) throw error
  return { ...nothing, state: 'refused', problem: { code: error.code, message: error.message } }
}

/** What says something of the database; a lock that could not be had does not. */
const STATES: ReadonlySet<string> = new Set([
  'SCHEMA_MISMATCH',
  'SCHEMA_NEWER',
  'MIGRATION_EDITED',
  'MIGRATION_MISSING',
  'MIGRATION_OUT_OF_ORDER',
])

/**
 * The longest beginning of the migrations that makes the tables that are there; their triggers and indexes can be made again.
 * Throws SCHEMA_MISMATCH if none does.
 */
export async function longestMatch(
  known: readonly Migration[],
  notes: Ledger['notes'],
  driftFrom: (migrations: readonly Migration[]) => Promise<Drift | undefined> | Drift,
): Promise<readonly Migration[]> {
  refuseBreaking(known, notes)
  let nearest: Difference | undefined
  // One that changes rows alone leaves no trace in the tables: where it was noted what was applied, no more is recorded.
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
    `The tables are not as any of the migrations leaves them${example}. Nothing was recorded.`,
  )
}
