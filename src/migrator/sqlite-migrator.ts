import type Sqlite from 'better-sqlite3'
import type { Patience } from '../database/sqlite/connection.ts'
import { isSqliteFailure, translated } from '../database/sqlite/errors.ts'
import { StorageError } from '../errors.ts'
import { IS_NOTE, type Ledger, lastApplied, NAME_PREFIX, type Standing, standing } from './ledger.ts'
import { type Migration, migrationsOf } from './migrations.ts'
import { adopt, assertAdoptable } from './sqlite-adoption.ts'
import { hasTable, isEmpty, originOf } from './sqlite-file.ts'
import type { MigrationOptions } from './steps.ts'

/** As drizzle-kit makes it. `SERIAL` means nothing to SQLite: `id` is always NULL. */
const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS __drizzle_migrations (
  id SERIAL PRIMARY KEY,
  hash text NOT NULL,
  created_at numeric
)`

/**
 * Throws if something is pending that must not be applied, or, if all may be applied, what `standing()` throws, and
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
    const [next, ...more] = standingOf(raw, known).pending
    if (next === undefined) return
    const foreign = isUnrecorded(raw)
    if (mode === 'apply') {
      if (foreign) await assertAdoptable(raw, options)
      return
    }
    throw pendingError(next, more.length, foreign)
  } finally {
    raw.exec('ROLLBACK')
  }
}

function pendingError(next: Migration, more: number, foreign: boolean): StorageError {
  const what = foreign
    ? 'The file was made by another program and has not been adopted'
    : `Migrations are pending: ${next.tag}${more > 0 ? ` and ${more} more` : ''}`
  return new StorageError('SCHEMA_MISMATCH', `${what}. Run meshstore migrate up, or open with migrate: 'apply'.`)
}

/**
 * Brings the schema up to date: adopts what another program made, then applies each pending migration in a transaction of
 * its own. One process at a time: the lock is taken first, the ledger read again under it.
 *
 * Throws what `checkSqlite` throws, and what a failing migration throws; then nothing of that one happened.
 */
export async function migrateSqlite(
  raw: Sqlite.Database,
  patience: Patience,
  options: MigrationOptions = {},
  known: readonly Migration[] = migrationsOf('sqlite'),
): Promise<void> {
  // One backup for all that is pending; the first lock is held while it is made, so that it has what is changed next.
  let backup = options.backup
  while (standingOf(raw, known).pending.length > 0) {
    await locked(raw, patience, async () => {
      const [next] = standingOf(raw, known).pending
      if (next === undefined) return
      const begun = performance.now()
      if (isUnrecorded(raw)) {
        const report = await adopt(raw, { ...options, create: () => apply(raw, next) })
        options.onAdopted?.(report)
      } else {
        if (!isEmpty(raw)) await backup?.(next.tag, raw.name)
        apply(raw, next)
      }
      backup = undefined
      options.onApplied?.({ tag: next.tag, milliseconds: performance.now() - begun })
    })
  }
}

/**
 * Runs `work` in a transaction that no other process can write beside, and commits it. Foreign keys are off, since a table
 * that is built anew is dropped in between, with its children's rows if they cascade; inside a transaction the pragma would
 * do nothing. They are checked before the COMMIT instead.
 */
export async function locked(raw: Sqlite.Database, patience: Patience, work: () => Promise<void>): Promise<void> {
  const before = raw.pragma('foreign_keys', { simple: true })
  raw.pragma('foreign_keys = OFF')
  try {
    await patience.retry(() => raw.exec('BEGIN IMMEDIATE'))
    const orphans = countOrphans(raw)
    await work()
    if (countOrphans(raw) > orphans) {
      throw new StorageError(
        'SCHEMA_MISMATCH',
        'Afterwards rows of other tables would refer to rows that are not there (foreign_key_check). Nothing was changed.',
      )
    }
    raw.exec('COMMIT')
  } catch (error) {
    throw translated(error)
  } finally {
    if (raw.inTransaction) raw.exec('ROLLBACK')
    raw.pragma(`foreign_keys = ${before}`)
  }
}

/** Infinite where somebody's foreign key refers to what cannot be referred to: that is found, and left, as it was. */
function countOrphans(raw: Sqlite.Database): number {
  try {
    return Number(raw.prepare('SELECT count(*) FROM pragma_foreign_key_check').pluck().get())
  } catch (error) {
    if (isSqliteFailure(error) && error.code === 'SQLITE_ERROR') return Number.POSITIVE_INFINITY
    throw error
  }
}

function apply(raw: Sqlite.Database, migration: Migration): void {
  try {
    raw.exec(CREATE_LEDGER)
    for (const statement of migration.statements) raw.exec(statement)
    record(raw, migration)
  } catch (error) {
    throw failed(migration, translated(error))
  }
}

/** Notes in ledger and `meshstore_state` that a migration is applied. */
export function record(raw: Sqlite.Database, { tag, hash, when }: Migration): void {
  raw.exec(CREATE_LEDGER)
  raw.prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)').run(hash, when)
  raw
    .prepare('INSERT OR REPLACE INTO meshstore_state (name, value, updated_at) VALUES (?, ?, ?)')
    .run(`${NAME_PREFIX}${when}`, tag, Date.now() / 1000)
}

function failed({ file }: Migration, error: unknown): unknown {
  if (!(error instanceof StorageError)) return error
  const message = `${file} failed, and nothing of it happened: ${error.message}`
  return new StorageError(error.code, message, { cause: error.cause ?? error })
}

/** The last migration that was applied, or `none`. */
export const schemaVersionOf = (raw: Sqlite.Database): string => lastApplied(migrationsOf('sqlite'), ledgerOf(raw))

/** Throws what `standing()` throws. */
export const standingOf = (raw: Sqlite.Database, known = migrationsOf('sqlite')): Standing =>
  standing(known, ledgerOf(raw))

function ledgerOf(raw: Sqlite.Database): Ledger {
  const rows = hasTable(raw, '__drizzle_migrations')
    ? raw
        .prepare<[], { hash: string; time: unknown }>('SELECT hash, created_at AS time FROM __drizzle_migrations')
        .all()
    : []
  const notes = hasTable(raw, 'meshstore_state')
    ? raw.prepare<[], [string, string]>(`SELECT name, value FROM meshstore_state WHERE ${IS_NOTE}`).raw().all()
    : []
  return { rows: rows.map(({ hash, time }) => ({ hash, when: Number(time) })), notes: new Map(notes) }
}

/** Tables of ours, and no word in the ledger of how they came there. */
export const isUnrecorded = (raw: Sqlite.Database): boolean =>
  ledgerOf(raw).rows.length === 0 && originOf(raw) !== undefined
