/** The tables that a move takes along. */
import type Sqlite from 'better-sqlite3'
import type { OtherData } from '../../api.ts'
import { StorageError } from '../../errors.ts'
import { type DatabaseTables, OUR_TABLES_ALONE, ownOf } from '../../rows/own-tables.ts'
import { snapshotOf } from '../../rows/sqlite-source.ts'
import { tablesIn } from '../../rows/sqlite-tables.ts'
import { tablesFor } from '../../rows/target-tables.ts'
import { rowOfTable } from '../../schema/described.ts'

/** With the foreign keys of both databases. */
export interface MovedTables extends DatabaseTables {
  /** The file's descriptions of own tables when the move began. */
  readonly described: string
}

/** Throws SCHEMA_MISMATCH if the target does not have the file's own tables. `target` is asked only if the file has any. */
export async function movedTables(
  raw: Sqlite.Database,
  target: () => Promise<DatabaseTables>,
  ignoreOthers: boolean | undefined,
): Promise<{ readonly known: MovedTables; readonly leftBehind: readonly OtherData[] }> {
  const here = tablesIn(raw)
  const described = descriptionOf(here)
  if (ownOf(here.tables).length === 0) return { known: { ...OUR_TABLES_ALONE, described }, leftBehind: [] }
  const there = await target()
  const snapshot = snapshotOf(raw, { asStored: true })
  const { leftBehind, ...known } = await tablesFor(snapshot, there, ignoreOthers)
  return { known: { ...known, described }, leftBehind }
}

const descriptionOf = ({ tables }: DatabaseTables): string => JSON.stringify(ownOf(tables).map(rowOfTable))

/** Throws CONFLICT if the application has changed its own tables during the move. */
export function assertSameTables(raw: Sqlite.Database, { described }: MovedTables): void {
  if (descriptionOf(tablesIn(raw)) === described) return
  throw new StorageError(
    'CONFLICT',
    "The application's own tables were changed during the move. Nothing was switched. Apply its migrations to the target too, and go on with the move.",
  )
}
