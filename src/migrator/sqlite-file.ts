/** Reads from a file's catalog which tables it has. */
import type Sqlite from 'better-sqlite3'

/** The client's tables: other programs create and write them too. */
const SHARED_TABLES = ['nodes', 'policies', 'path_cache'] as const

/** Names are case-insensitive. Views count too: a table cannot have a view's name. */
export const hasTable = (raw: Sqlite.Database, name: string): boolean =>
  raw.prepare("SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = ?").get(name) !== undefined

/** Whether the file has no tables, views, indexes or triggers. */
export const isEmpty = (raw: Sqlite.Database): boolean =>
  raw.prepare("SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 1").get() === undefined

/** The maker of the tables, by the catalog; `undefined` if there are no tables. */
export function originOf(raw: Sqlite.Database): 'library' | 'other' | undefined {
  if (hasTable(raw, 'meshstore_state')) return 'library'
  return SHARED_TABLES.some((name) => hasTable(raw, name)) ? 'other' : undefined
}

/** Removes quotes and blanks without meaning: SQLite stores the text as typed. */
export const normalised = (sql: string): string =>
  sql
    .replaceAll(/[`"[\]]/g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?([(),]) ?/g, '$1')
    .trim()
