import type Sqlite from 'better-sqlite3'
import type { BusyRetry } from '../database/sqlite/connection.ts'
import { isSqliteFailure, translated } from '../database/sqlite/errors.ts'
import { StorageError } from '../errors.ts'
import { encodeTime } from '../schema/codecs.ts'
import {
  assertNoMove,
  assertTablesThere,
  hasOurs,
  IS_NOTE,
  type Ledger,
  lastApplied,
  type MigrationStatus,
  migrationStatus,
  NAME_PREFIX,
  pendingError,
} from './ledger.ts'
import { folderOf, type Migration, migrationsOf } from './migrations.ts'
import { missingError } from './missing.ts'
import { assertNoMoreOrphans, orphansIn } from './orphans.ts'
import { besideOthers } from './others.ts'
import { hasTable, isEmpty, originOf } from './sqlite-file.ts'
import { missingInSqlite } from './sqlite-missing.ts'
import { type MigrationOptions, timeOf } from './steps.ts'

/** As drizzle-kit makes it. `SERIAL` means nothing to SQLite: `id` is always NULL. */
const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS __drizzle_migrations (
  id SERIAL PRIMARY KEY,
  hash text NOT NULL,
  created_at numeric
)`

/** Whether drizzle-kit 1.0 has been here: it applies again what has no name. */
const HAS_NAMES = "SELECT 1 FROM pragma_table_info('__drizzle_migrations') WHERE name = 'name'"

/**
 * Throws if something is pending that must not be applied, or, if all may be applied, what `migrationStatus()` throws, and
 * SCHEMA_MISMATCH for tables that another program made and whose rows cannot be kept. Changes nothing.
 */
export async function checkSqlite(
  raw: Sqlite.Database,
  mode: 'apply' | 'check',
  options: MigrationOptions = {},
  known: readonly Migration[] = migrationsOf('sqlite'),
): Promise<void> {
  // One moment: between two reads another process could create ledger and tables.
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

/** What has happened to the tables of a file that is open. Throws what `migrationStatus()` throws. */
export function problemOf(raw: Sqlite.Database, known = migrationsOf('sqlite')): StorageError | undefined {
  const found = migrationStatusOf(raw, known)
  if (found.pending.length > 0) return pendingError(found)
  // How a newer version's triggers should be is not known here.
  return found.newer.length > 0 ? undefined : missingError(missingInSqlite(raw, known))
}

function assertNoProblem(raw: Sqlite.Database, known: readonly Migration[]): void {
  const problem = problemOf(raw, known)
  if (problem !== undefined) throw problem
}

/** Rarely needed, and much of what would have to be loaded. */
const adoption = () => import('./sqlite-adoption.ts')

const notAdopted = (): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    "The file was made by another program and has not been adopted. Run meshstore migrate up, or open with migrate: 'apply'.",
  )

/**
 * Brings the schema up to date: adopts what another program made, then applies each pending migration in a transaction of
 * its own. One process at a time: the lock is taken first, the ledger read again under it.
 *
 * Throws what `checkSqlite` throws, and what a failing migration throws; then nothing of that one happened.
 */
export async function migrateSqlite(
  raw: Sqlite.Database,
  busyRetry: BusyRetry,
  options: MigrationOptions = {},
  known: readonly Migration[] = migrationsOf('sqlite'),
): Promise<void> {
  // One backup for all that is pending; the first lock is held while it is made, so that it has what is changed next. Where
  // another process is at it, that one has made it.
  let backup = options.backup
  // As long as the file has no log, another process that commits is in the way of those who read, too.
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
      // Nothing has changed, unless the disk failed in the COMMIT.
      if (!(error instanceof StorageError) || !UNCERTAIN.has(error.code)) copy?.discard()
      throw error
    })
  }
  assertNoProblem(raw, known)
}

type Copy = NonNullable<Awaited<ReturnType<NonNullable<MigrationOptions['backup']>>>>
/** After these nobody knows whether the COMMIT happened. */
export const UNCERTAIN: ReadonlySet<string> = new Set(['UNAVAILABLE', 'OUTCOME_UNKNOWN'])

interface Step {
  readonly next: Migration
  readonly applied: readonly Migration[]
}

/** Inside the transaction. */
async function step(raw: Sqlite.Database, { next, applied }: Step, options: MigrationOptions): Promise<void> {
  const orphans = orphansIn(raw)
  const at = timeOf(options)
  const create = (): void => naming(next, () => besideOthers(raw, applied, next, () => apply(raw, next, at)))
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
    // What SQLite says of a statement names tables and columns, no values.
    const { cause } = failure
    const reason = isSqliteFailure(cause) && cause.code === 'SQLITE_ERROR' ? `${cause.message}.` : failure.message
    const message = `${file} failed, and nothing of it happened: ${reason}`
    throw new StorageError(failure.code, message, { cause: failure.cause ?? failure })
  }
}

/**
 * Runs `work` in a transaction that no other process can write beside, and commits it. Foreign keys are off, since a table
 * that is built anew is dropped in between, with its children's rows if they cascade; inside a transaction the pragma would
 * do nothing.
 */
export async function locked(raw: Sqlite.Database, busyRetry: BusyRetry, work: () => Promise<void>): Promise<void> {
  const before = raw.pragma('foreign_keys', { simple: true })
  raw.pragma('foreign_keys = OFF')
  try {
    await busyRetry.run(() => raw.exec('BEGIN IMMEDIATE'))
    await work()
    // Without a log, readers are in the way of a commit too.
    await busyRetry.run(() => raw.exec('COMMIT'))
  } catch (error) {
    throw translated(error)
  } finally {
    if (raw.inTransaction) raw.exec('ROLLBACK')
    raw.pragma(`foreign_keys = ${before}`)
  }
}

function apply(raw: Sqlite.Database, migration: Migration, time: Date): void {
  raw.exec(CREATE_LEDGER)
  for (const statement of migration.statements) raw.exec(statement)
  record(raw, migration, time)
}

/** Notes in ledger and `meshstore_state` that a migration is applied. */
export function record(raw: Sqlite.Database, migration: Migration, time: Date): void {
  const { tag, hash, when } = migration
  raw.exec(CREATE_LEDGER)
  raw.prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)').run(hash, when)
  if (raw.prepare(HAS_NAMES).get() !== undefined)
    raw.prepare('UPDATE __drizzle_migrations SET name = ? WHERE hash = ?').run(folderOf(migration), hash)
  raw
    .prepare('INSERT OR REPLACE INTO meshstore_state (name, value, updated_at) VALUES (?, ?, ?)')
    .run(`${NAME_PREFIX}${when}`, tag, encodeTime(time))
}

/** The last migration that was applied, or `none`. */
export const schemaVersionOf = (raw: Sqlite.Database): string => lastApplied(migrationsOf('sqlite'), ledgerOf(raw))

/** Throws what `migrationStatus()` throws. */
export const migrationStatusOf = (raw: Sqlite.Database, known = migrationsOf('sqlite')): MigrationStatus =>
  migrationStatus(known, ledgerOf(raw))

export function ledgerOf(raw: Sqlite.Database): Ledger {
  const rows = hasTable(raw, '__drizzle_migrations')
    ? raw
        .prepare<[], { hash: string; time: unknown }>('SELECT hash, created_at AS time FROM __drizzle_migrations')
        .all()
    : []
  const hasState = hasTable(raw, 'meshstore_state')
  const notes = hasState
    ? raw.prepare<[], [string, string]>(`SELECT name, value FROM meshstore_state WHERE ${IS_NOTE}`).raw().all()
    : []
  return {
    rows: rows.map(({ hash, time }) => ({ hash, when: Number(time) })),
    notes: new Map(notes),
    hasState,
  }
}

/** Tables of ours, and no word in the ledger of how they came there. */
export const isUnrecorded = (raw: Sqlite.Database): boolean =>
  !hasOurs(migrationsOf('sqlite'), ledgerOf(raw)) && originOf(raw) !== undefined
