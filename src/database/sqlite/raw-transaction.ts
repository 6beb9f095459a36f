import type Sqlite from 'better-sqlite3'

export function rollBack(raw: Sqlite.Database): void {
  try {
    raw.exec('ROLLBACK')
  } catch {
    // SQLite has rolled back by itself.
  }
}

/** Pins the snapshot: BEGIN alone does not, the first read does. */
export function pin(raw: Sqlite.Database): void {
  if (!raw.inTransaction) raw.exec('BEGIN')
  raw.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get()
}
