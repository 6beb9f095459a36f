import type Sqlite from 'better-sqlite3'
import { misuse } from '../../errors.ts'
import type { Compiled } from '../statement.ts'
import { cleaned, isSqliteFailure } from './errors.ts'

/**
 * Explains why SQLite cannot prepare a statement of the application's. If its tables are there, the mistake is in the statement: SQLite's
 * message has the names from its SQL, and no values.
 */
export function explained<R>(error: unknown, { name, ownTables }: Compiled<never, R>, raw: Sqlite.Database): unknown {
  if (ownTables === undefined || !isSqliteFailure(error) || error.code !== 'SQLITE_ERROR') return error
  const isThere = raw.prepare<[string], unknown>(
    "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?",
  )
  if (!ownTables().every((table) => isThere.get(table) !== undefined)) return error
  return misuse(
    `The statement ${name} cannot run: ${error.message} (${error.code}). Nothing was read or written. Correct the statement.`,
    cleaned(error),
  )
}
