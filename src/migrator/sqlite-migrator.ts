import type Sqlite from 'better-sqlite3'
import type { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { isSqliteFailure, translated } from '../database/sqlite/errors.ts'
import { note } from '../database/sqlite/notes.ts'
import { StorageError } from '../errors.ts'
import {
  assertNoMove,
  assertTablesThere,
  hasOurs,
  IS_NOTE,
  LEDGER,
  type Ledger,
  lastApplied,
  type MigrationStatus,
  migrationStatus,
  NAME_PREFIX,
  pendingError,
} from './ledger.ts'
import { type Migration, migrationsOf } from './migrations.ts'
import { missingError } from './missing.ts'
import { assertNoMoreOrphans, orphansIn } from './orphans.ts'
import { keepOtherObjects } from './other-objects.ts'
import { hasTable, isEmpty, originOf } from './sqlite-file.ts'
import { addTo, createLedger, rowsIn } from './sqlite-ledger.ts'
import { missingInSqlite } from './sqlite-missing.ts'
import { type MigrationOptions, timeOf } from './steps.ts'

/**
 * Changes nothing. Throws if a pending migration must not be applied; else what `migrationStatus()` throws, and
 * SCHEMA_MISMATCH if rows of another program's tables cannot be kept.
 */
export async function checkSqlite(
  raw: Sqlite.Database,
  mode: 'apply' | 'check',
  options: MigrationOptions = {},
  known: readonly Migration[] = migrationsOf('sqlite'),
): Promise<void> {
  // One snapshot: between two reads another process could create ledger and tables.
  raw.exec('BEGIN')
  try {
    const ledger = ledgerOf(raw)
    const found = migrationStatus(known, ledger)
    if (found.pending.length === 0) {
      assertTablesThere(found, ledger)
      return assertNoProblem(raw, known)
    }
    const unrecorded = isUnrecorded(raw)
    if (mode === 'apply') {
      if (unrecorded) await (await adoption()).assertAdoptable(raw, options)
      return
    }
    throw unrecorded ? notAdopted() : pendingError(found)
  } finally {
    raw.exec('ROLLBACK')
  }
}

/** SCHEMA_MISMATCH if the tables of an open file lost a part. Throws what `migrationStatus()` throws. */
export function problemOf(raw: Sqlite.Database, known = migrationsOf('sqlite')): StorageError | undefined {
  const found = migrationStatusOf(raw, known)
  if (found.pending.length > 0) return pendingError(found)
  // This version does not know a newer version's triggers.
  return found.newer.length > 0 ? undefined : missingError(missingInSqlite(raw, known))
}

function assertNoProblem(raw: Sqlite.Database, known: readonly Migration[]): void {
  const problem = problemOf(raw, known)
  if (problem !== undefined) throw problem
}

/** Imported on demand: adoption is rare, and its modules are large. */
const adoption = () => import('./sqlite-adoption.ts')

const notAdopted = (): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    "Another program made the file, and it has not been adopted. Nothing was changed. Run meshstore migrate up, or open with migrate: 'apply'.",
  )

/**
 * Adopts another program's file, then applies each pending migration in its own transaction. One process at a time: it
 * takes the lock, then reads the ledger again.
 *
 * Throws what `checkSqlite` throws, and a failing migration's error. A failing migration is rolled back.
 */
export async function migrateSqlite(
  raw: Sqlite.Database,
  busyRetry: BusyRetry,
  options: MigrationOptions = {},
  known: readonly Migration[] = migrationsOf('sqlite'),
): Promise<void> {
  // One backup precedes all pending migrations. The first lock is held meanwhile, so that the backup is the state before
  // the first change. If another process migrates first, that process makes the backup.
  let backup = options.backup
  // Without a write-ahead log, another process's commit blocks readers too.
  const look = (): Promise<MigrationStatus> => busyRetry.run(() => migrationStatusOf(raw, known))
  const before = await look()
  const seen = before.applied.length
  if (before.pending.length === 0) return
  while ((await look()).pending.length > 0) {
    let copy: Copy | undefined
    const work = async (): Promise<void> => {
      const { applied, pending } = migrationStatusOf(raw, known)
      const [next] = pending
      if (next === undefined) return
      assertNoMove(ledgerOf(raw))
      if (applied.length > seen) backup = undefined
      const make = async (before: string): Promise<undefined> => {
        copy = await backup?.(before, raw.name)
      }
      const begun = performance.now()
      await step(raw, { next, applied }, { ...options, backup: make })
      backup = undefined
      options.onApplied?.({ tag: next.tag, milliseconds: performance.now() - begun })
    }
    await locked(raw, busyRetry, work).catch((error) => {
      // Nothing was changed, unless the commit is indeterminate: the disk failed in the COMMIT.
      if (!(error instanceof StorageError) || !UNCERTAIN.has(error.code)) copy?.discard()
      throw error
    })
  }
  await busyRetry.run(() => assertNoProblem(raw, known))
}

type Copy = NonNullable<Awaited<ReturnType<NonNullable<MigrationOptions['backup']>>>>
/** Codes of an indeterminate commit. */
export const UNCERTAIN: ReadonlySet<string> = new Set(['UNAVAILABLE', 'OUTCOME_UNKNOWN'])

interface Step {
  readonly next: Migration
  readonly applied: readonly Migration[]
}

/** Must run inside the transaction. */
async function step(raw: Sqlite.Database, { next, applied }: Step, options: MigrationOptions): Promise<void> {
  const orphans = orphansIn(raw)
  const at = timeOf(options)
  const create = (): void => naming(next, () => keepOtherObjects(raw, applied, next, () => apply(raw, next, at)))
  const verify = (): void => naming(next, () => assertNoMoreOrphans(raw, orphans))
  if (isUnrecorded(raw)) {
    const report = await (await adoption()).adopt(raw, { ...options, create, verify })
    options.onAdopted?.(report)
    return
  }
  if (!isEmpty(raw)) await options.backup?.(next.tag, raw.name)
  create()
  verify()
}

function naming({ file }: Migration, run: () => void): void {
  try {
    run()
  } catch (error) {
    const failure = translated(error)
    if (!(failure instanceof StorageError)) throw failure
    // SQLite's message names tables and columns, and no values.
    const { cause } = failure
    const reason = isSqliteFailure(cause) && cause.code === 'SQLITE_ERROR' ? `${cause.message}.` : failure.message
    const message = `${file} failed. The migration was rolled back. Correct the cause, then migrate again: ${reason}`
    throw new StorageError(failure.code, message, { cause: failure.cause ?? failure })
  }
}

/**
 * Runs `work` in a BEGIN IMMEDIATE transaction and commits. Foreign keys are off: a rebuild drops the old table, which
 * would delete child rows that cascade. The pragma has no effect inside a transaction, and so precedes BEGIN.
 */
export async function locked(raw: Sqlite.Database, busyRetry: BusyRetry, work: () => Promise<void>): Promise<void> {
  const before = raw.pragma('foreign_keys', { simple: true })
  raw.pragma('foreign_keys = OFF')
  try {
    await busyRetry.run(() => raw.exec('BEGIN IMMEDIATE'))
    await work()
    // Without a write-ahead log, readers block a commit too.
    await busyRetry.run(() => raw.exec('COMMIT'))
  } catch (error) {
    throw translated(error)
  } finally {
    if (raw.inTransaction) raw.exec('ROLLBACK')
    raw.pragma(`foreign_keys = ${before}`)
  }
}

function apply(raw: Sqlite.Database, migration: Migration, time: Date): void {
  createLedger(raw, LEDGER)
  for (const statement of migration.statements) raw.exec(statement)
  record(raw, migration, time)
}

/** Records an applied migration in the ledger and in `meshstore_state`. */
export function record(raw: Sqlite.Database, migration: Migration, time: Date): void {
  createLedger(raw, LEDGER)
  addTo(raw, LEDGER, migration)
  note(raw, `${NAME_PREFIX}${migration.when}`, migration.tag, time)
}

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
