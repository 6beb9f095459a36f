/** Source of rows: a consistent snapshot of a database, on each dialect. */
import type { OtherData } from '../api.ts'
import type { AppMigration } from '../migrator/app-ledger.ts'
import type { StoredRow } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import type { DatabaseTables, Orphan } from './own-tables.ts'

export interface Snapshot {
  /** The last migration. */
  readonly schemaVersion: string
  /** Throws SCHEMA_MISMATCH for a bad description of an own table. */
  tables(): Promise<DatabaseTables>
  /** The application's migrations that have been applied. */
  appMigrations(): Promise<readonly AppMigration[]>
  count(table: Table): Promise<number>
  /**
   * Slices of rows with undecoded cells, by ascending bytes of the keys. A slice is limited by size. A row may have one
   * more cell after its columns, by which `stored` finds the row again. `after`: only rows after this key.
   */
  slices(table: Table, after?: string): AsyncIterable<readonly (readonly unknown[])[]>
  /** Rows whose parents are missing: SQLite lets a program write them that leaves foreign keys off. */
  orphans(tables: DatabaseTables): Iterable<Orphan>
  /** The exact stored values of a row, for a dead-letter file. */
  stored(table: Table, cells: readonly unknown[]): StoredRow
  /** The application's tables that are not described, and its columns in ours, that have rows. */
  others(): Promise<readonly OtherData[]>
}

export interface SourceOptions {
  /** How long to wait for another process's lock, in milliseconds. */
  readonly busyTimeoutMs?: number | undefined
  /** Accepts pending migrations: our tables have the same columns in each version. */
  readonly anySchema?: boolean | undefined
  /** Throws MOVED for a file whose data has moved. Exports and copies may read it as it was at the switch. */
  readonly refuseMoved?: boolean | undefined
}

/** Limits of a slice in memory: rows and bytes. */
export const SLICE_ROWS = 200
export const SLICE_BYTES = 1_048_576

/** A row's approximate size in memory: the characters of its texts. */
export function sizeOf(cells: readonly unknown[]): number {
  let size = 0
  for (const cell of cells) if (typeof cell === 'string') size += cell.length
  return size
}

/** The number of rows of the next page, by the size of the last page. */
export const nextLimit = (rows: readonly (readonly unknown[])[], most: number): number => {
  const size = rows.reduce((sum, row) => sum + sizeOf(row), 0)
  return Math.min(most, Math.max(1, Math.floor((SLICE_BYTES * rows.length) / Math.max(1, size))))
}

export async function countAll(snapshot: Snapshot, tables: readonly Table[]): Promise<number> {
  let total = 0
  for (const table of tables) total += await snapshot.count(table)
  return total
}

/** Returns a function to call with each number of finished rows. Counts all rows first, if there is an `onProgress`. */
export async function progressOver(
  snapshot: Snapshot,
  tables: readonly Table[],
  onProgress: ((done: number, total: number) => void) | undefined,
): Promise<(rows: number) => void> {
  if (onProgress === undefined) return () => {}
  const total = await countAll(snapshot, tables)
  let done = 0
  return (rows) => {
    done += rows
    onProgress(done, total)
  }
}
