/** What is in a file, by its catalog. */
import type Sqlite from 'better-sqlite3'

/** The client's tables, which other programs make and write too. */
export const SHARED_TABLES = ['nodes', 'policies', 'path_cache'] as const

/** Names are the same in capitals; and where a view has the name, no table can. */
export const hasTable = (raw: Sqlite.Database, name: string): boolean =>
  raw.prepare("SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = ?").get(name) !== undefined

/** Whether nobody has put anything into it. */
export const isEmpty = (raw: Sqlite.Database): boolean =>
  raw.prepare("SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 1").get() === undefined

/** Who made the tables, for all that the catalog shows; `undefined` if there are none. */
export function originOf(raw: Sqlite.Database): 'library' | 'other' | undefined {
  if (hasTable(raw, 'meshstore_state')) return 'library'
  return SHARED_TABLES.some((name) => hasTable(raw, name)) ? 'other' : undefined
}
