/**
 * Reads the ledger: which migrations are applied, which are pending, and which are refused.
 *
 * The ledger is drizzle-kit's table `__drizzle_migrations`: this package and drizzle-kit can apply each other's pending
 * migrations. `meshstore_state` holds the migrations' names and the marks of breaking migrations. This package writes
 * them; since 0003 the migrations' own SQL writes them too.
 */
import { StorageError } from '../errors.ts'
import type { Migration } from './migrations.ts'

/** The library's ledger; on PostgreSQL in the schema `drizzle`. */
export const LEDGER = '__drizzle_migrations'

/** In `meshstore_state`: `migration:<when>` has the name of a migration that was applied. */
export const NAME_PREFIX = 'migration:'
/** In `meshstore_state`: `breaking:<tag>` has the reason why older code must not open the database any more. */
const BREAKING_PREFIX = 'breaking:'

/** In `meshstore_state`: the row of a move that is under way or has ended. */
const MOVE = 'move'

/** SQL condition on a row of `meshstore_state`: a name or a mark of a migration. */
export const IS_NOTE = `name LIKE '${NAME_PREFIX}%' OR name LIKE '${BREAKING_PREFIX}%' OR name = '${MOVE}'`

export interface LedgerRow {
  readonly hash: string
  /** The journal's time of the migration, without its milliseconds if drizzle-kit 1.0 wrote it. */
  readonly when: number
}

export interface Ledger {
  readonly rows: readonly LedgerRow[]
  /** Names and marks: the rows of `meshstore_state` with one of the prefixes. */
  readonly notes: ReadonlyMap<string, string>
  /** Whether the table `meshstore_state` exists. */
  readonly hasState: boolean
}

/** Throws SCHEMA_MISMATCH if the ledger records migrations and the tables are missing. */
export function assertTablesThere({ applied }: MigrationStatus, { hasState }: Ledger): void {
  if (applied.length === 0 || hasState) return
  throw new StorageError(
    'SCHEMA_MISMATCH',
    'The migrations are recorded as applied, and the tables are not there. Nothing was changed. They were dropped, or are in another schema (on PostgreSQL a database has one ledger, for one schema). Restore a backup, or use another database.',
  )
}

/** Throws BUSY while the data is being moved: both databases must have one schema. */
export function assertNoMove({ notes }: Ledger): void {
  const move = notes.get(MOVE)
  if (move === undefined || (JSON.parse(move) as { phase?: string }).phase === 'done') return
  throw new StorageError(
    'BUSY',
    'The data is being moved to another database. Nothing was changed. Finish the move (meshstore move --resume) or abort it (--abort), then migrate.',
  )
}

export interface MigrationStatus {
  readonly applied: readonly Migration[]
  /** In the order of application. */
  readonly pending: readonly Migration[]
  /** Migrations that a newer version of this package applied. None is marked as breaking. */
  readonly newer: readonly string[]
  /** An application's own migrations in the same ledger. */
  readonly foreign: readonly string[]
}

/** The errors of a ledger that does not fit the files: the files of the library come with the package, an application's do not. */
interface Refusals {
  readonly edited: (migration: Migration) => StorageError
  readonly missing: (name: string, row: LedgerRow) => StorageError
}

/** The meaning of one row of the ledger. */
type Told = { readonly migration: Migration } | { readonly name: string } | undefined

/**
 * The hash identifies a migration: drizzle-kit 1.0 drops the milliseconds of the time. A row with a known name or time and
 * another hash is an edited migration. An unknown row is ours if `meshstore_state` has its name, and foreign otherwise.
 */
function told(known: readonly Migration[], { hash, when }: LedgerRow, notes: Ledger['notes']): Told {
  const name = notes.get(`${NAME_PREFIX}${when}`)
  const migration =
    known.find((each) => each.hash === hash) ??
    known.find((each) => each.tag === name || when === each.when || when === Math.floor(each.when / 1_000) * 1_000)
  if (migration !== undefined) return { migration }
  return name === undefined ? undefined : { name }
}

export const hasOurs = (known: readonly Migration[], { rows, notes }: Ledger): boolean =>
  rows.some((row) => told(known, row, notes) !== undefined)

/**
 * Throws MIGRATION_EDITED, MIGRATION_MISSING, MIGRATION_OUT_OF_ORDER or SCHEMA_NEWER, naming the file and what to do.
 *
 * A database newer than the code is accepted, so that a release can be rolled back.
 */
export function migrationStatus(
  known: readonly Migration[],
  { rows, notes }: Ledger,
  refusals: Refusals = { edited, missing },
): MigrationStatus {
  const newest = known.at(-1)?.when ?? 0
  const applied = new Set<Migration>()
  const newer = new Map<number, string>()
  const foreign: string[] = []
  for (const row of rows) {
    const found = told(known, row, notes)
    if (found === undefined) foreign.push(dated(row))
    else if ('name' in found) {
      if (row.when < newest) throw refusals.missing(found.name, row)
      newer.set(row.when, found.name)
    } else {
      if (found.migration.hash !== row.hash) throw refusals.edited(found.migration)
      applied.add(found.migration)
    }
  }
  refuseBreaking(known, notes)

  const last = Math.max(0, ...newer.keys(), ...[...applied].map(({ when }) => when))
  const pending = known.filter((migration) => !applied.has(migration))
  const late = pending.find(({ when }) => when < last)
  if (late !== undefined) throw outOfOrder(late)
  return {
    applied: known.filter((migration) => applied.has(migration)),
    pending,
    newer: [...newer].sort(([a], [b]) => a - b).map(([, name]) => name),
    foreign,
  }
}

/** The error for a process that may not apply migrations. It names each pending migration. */
export const pendingError = ({ pending, foreign }: MigrationStatus): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    `Migrations are pending: ${pending.map(({ tag }) => tag).join(', ')}. Nothing was changed. Run meshstore migrate up, or open with migrate: 'apply'.${
      foreign.length === 0 ? '' : ` drizzle-kit migrate may skip them. ${FOREIGN}`
    }`,
  )

/** Advice about other programs' migrations in our ledger. */
export const FOREIGN =
  "The ledger __drizzle_migrations has another program's migrations. Give the application's a ledger of their own: migrations: { table: '__app_migrations' } in its drizzle.config.ts."

/** The name of the last applied migration, known to this version or not; or `none`. */
export function lastApplied(known: readonly Migration[], { rows, notes }: Ledger): string {
  let last = { when: Number.NEGATIVE_INFINITY, tag: 'none' }
  for (const row of rows) {
    const found = told(known, row, notes)
    if (found === undefined) continue
    const { when, tag } = 'migration' in found ? found.migration : { when: row.when, tag: found.name }
    if (when > last.when) last = { when, tag }
  }
  return last.tag
}

/** Identifies a migration without its name. */
export function dated({ when, hash }: LedgerRow): string {
  const time = new Date(when)
  const at = Number.isNaN(time.getTime()) ? '' : ` of ${time.toISOString()}`
  return `one${at} with the hash ${hash.slice(0, 12)}`
}

function edited({ file }: Migration): StorageError {
  return new StorageError(
    'MIGRATION_EDITED',
    `${file} is not the file that was applied to this database. Nothing was changed. Install the package again to bring the applied file back. Make the change in a new migration.`,
  )
}

function missing(name: string): StorageError {
  return new StorageError(
    'MIGRATION_MISSING',
    `A migration was applied to this database that this version does not have, though it has younger ones: ${name}. Nothing was changed. Use the version, or the branch, that has it.`,
  )
}

function outOfOrder({ file }: Migration): StorageError {
  return new StorageError(
    'MIGRATION_OUT_OF_ORDER',
    `${file} is older than a migration that was applied already: it was merged late. Nothing was changed. Generate it anew, so that it comes last.`,
  )
}

/** Throws SCHEMA_NEWER if a migration that this version does not know is marked as breaking. */
export function refuseBreaking(known: readonly Migration[], notes: ReadonlyMap<string, string>): void {
  const tags = new Set(known.map(({ tag }) => tag))
  for (const [name, reason] of notes) {
    if (!name.startsWith(BREAKING_PREFIX)) continue
    const tag = name.slice(BREAKING_PREFIX.length)
    if (tags.has(tag)) continue
    throw new StorageError(
      'SCHEMA_NEWER',
      `A newer version of this package changed the database in a way that this one cannot work with: ${tag} (${reason}). Nothing was changed. Use the newer version, or restore a backup from before.`,
    )
  }
}
