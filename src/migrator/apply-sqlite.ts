/** Applies pending migrations to a SQLite file. Loaded when there are some. */
import type Sqlite from 'better-sqlite3'
import type { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { isSqliteFailure, translated } from '../database/sqlite/errors.ts'
import { note } from '../database/sqlite/notes.ts'
import { StorageError } from '../errors.ts'
import { performance } from '../event-loop.ts'
import { assertNoMove, LEDGER, type MigrationStatus, NAME_PREFIX } from './ledger.ts'
import { type Migration, migrationsOf } from './migrations.ts'
import { assertNoMoreOrphans, orphansIn } from './orphans.ts'
import { keepOtherObjects } from './other-objects.ts'
import { isEmpty } from './sqlite-file.ts'
import { addTo, createLedger } from './sqlite-ledger.ts'
import { locked, UNCERTAIN } from './sqlite-lock.ts'
import { isUnrecorded, ledgerOf, migrationStatusOf, problemOf } from './sqlite-migrator.ts'
import { type MigrationOptions, timeOf } from './steps.ts'

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
  const problem = await busyRetry.run(() => problemOf(raw, known))
  if (problem !== undefined) throw problem
}

type Copy = NonNullable<Awaited<ReturnType<NonNullable<MigrationOptions['backup']>>>>
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
    const { adopt } = await import('./sqlite-adoption.ts')
    const report = await adopt(raw, { ...options, create, verify })
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
