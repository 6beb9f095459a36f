/** The migrations of an application, as drizzle-kit writes them, and what its ledger says of them. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StorageError } from '../errors.ts'
import { dated, type LedgerRow, type MigrationStatus, migrationStatus, NAME_PREFIX } from './ledger.ts'
import { type Dialect, type Migration, statementsOf } from './migrations.ts'

/** Reads `<folder>/<dialect>`: drizzle-kit 0.31's journal and files, or drizzle-kit 1.0's folders. Throws CONFIG. */
export function ownMigrations(folder: string, dialect: Dialect): Migration[] {
  const at = join(folder, dialect)
  const journal = join(at, 'meta/_journal.json')
  try {
    if (existsSync(journal)) {
      const { entries } = JSON.parse(readFileSync(journal, 'utf8')) as { entries: { tag: string; when: number }[] }
      return entries.map(({ tag, when }) => read(join(at, `${tag}.sql`), tag, when))
    }
    const folders = readdirSync(at).filter((name) => FOLDER.test(name))
    if (folders.length > 0)
      return folders.sort().map((name) => read(join(at, name, 'migration.sql'), name, timeIn(name)))
  } catch (cause) {
    if (cause instanceof StorageError) throw cause
    throw unreadable(at, cause)
  }
  throw unreadable(at)
}

/** drizzle-kit 1.0's name of a migration: `20261124093331_create_links`. */
const FOLDER = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)_/
const timeIn = (name: string): number => {
  const [, ...parts] = FOLDER.exec(name) ?? []
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts.map(Number)
  return Date.UTC(year, month - 1, day, hour, minute, second)
}

function read(file: string, tag: string, when: number): Migration {
  const sql = readFileSync(file, 'utf8')
  return { tag, when, file, hash: createHash('sha256').update(sql).digest('hex'), statements: statementsOf(sql) }
}

const unreadable = (at: string, cause?: unknown): StorageError =>
  new StorageError(
    'CONFIG',
    `The option migrations names a folder without migrations for this database: ${at}. Make them with drizzle-kit generate, with out: '${at}' in its configuration.`,
    { cause },
  )

/**
 * The same rules as for the library's migrations. The whole ledger is the application's: a row that its code does not know was
 * applied by a newer version. Throws MIGRATION_EDITED, MIGRATION_MISSING or MIGRATION_OUT_OF_ORDER.
 */
export function ownStatus(known: readonly Migration[], rows: readonly LedgerRow[]): MigrationStatus {
  const notes = new Map(
    rows.map(({ when }) => [`${NAME_PREFIX}${when}`, `the application's of ${new Date(when).toISOString()}`]),
  )
  return migrationStatus(known, { rows, notes, hasState: true }, { edited, missing })
}

const edited = ({ file }: Migration): StorageError =>
  new StorageError(
    'MIGRATION_EDITED',
    `${file} is not the file that was applied to this database. Nothing was changed. Bring the applied file back, from version control for example. Make the change in a new migration.`,
  )

/** The ledger has no names. */
const missing = (_: string, row: LedgerRow): StorageError =>
  new StorageError(
    'MIGRATION_MISSING',
    `A migration of the application was applied to this database that its folder does not have, though it has younger ones: ${dated(row)}. Nothing was changed. Use the version, or the branch, of the application that has it.`,
  )

/** Rows of the library's ledger that are the application's: drizzle-kit without `migrations: { table }` wrote them there. */
export const misplaced = (known: readonly Migration[], rows: readonly LedgerRow[]): LedgerRow[] =>
  rows.filter(({ hash }) => known.some((migration) => migration.hash === hash))
