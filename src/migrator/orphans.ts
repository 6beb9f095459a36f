import type Sqlite from 'better-sqlite3'
import { isSqliteFailure } from '../database/sqlite/errors.ts'
import { StorageError } from '../errors.ts'

/** Orphans: the number of rows without their parent row, for each foreign key. */
export type Orphans = ReadonlyMap<string, number>

export function orphansIn(raw: Sqlite.Database): Orphans {
  const counts = new Map<string, number>()
  const tables = raw.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all()
  for (const table of tables) {
    for (const [key, count] of orphansOf(raw, table)) counts.set(key, count)
  }
  return counts
}

function orphansOf(raw: Sqlite.Database, table: string): [string, number][] {
  try {
    return raw
      .prepare<[string], [string, number]>(
        `SELECT "table" || ' → ' || parent || ' (' || fkid || ')', count(*) FROM pragma_foreign_key_check(?) GROUP BY 1`,
      )
      .raw()
      .all(table)
  } catch (error) {
    // The foreign key names a column that cannot be referenced. The migration leaves that as before.
    if (isSqliteFailure(error) && error.code === 'SQLITE_ERROR') return []
    throw error
  }
}

/** Throws SCHEMA_MISMATCH if a foreign key has more orphans than before. */
export function assertNoMoreOrphans(raw: Sqlite.Database, before: Orphans): void {
  for (const [key, count] of orphansIn(raw)) {
    if (count <= (before.get(key) ?? 0)) continue
    throw new StorageError(
      'SCHEMA_MISMATCH',
      `Rows of another table would refer to rows that are not there any more (foreign_key_check): ${key}. Nothing was changed. Correct or delete those rows, then try again.`,
    )
  }
}
