/** What rows are read from: one moment of a database, whatever the dialect. */
import type { OtherData } from '../api.ts'
import type { StoredRow } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'

export interface Snapshot {
  /** The last migration. */
  readonly schemaVersion: string
  count(table: Table): Promise<number>
  /**
   * The cells of each row, undecoded, in the order of the keys' bytes; few at a time, by their size. Behind those of the
   * columns there may be one by which `stored` finds the row again.
   */
  slices(table: Table): AsyncIterable<readonly (readonly unknown[])[]>
  /** Every value of such a row as it is stored, with all of its bits, for those who put it aside. */
  stored(table: Table, cells: readonly unknown[]): StoredRow
  /** The application's own tables and columns, as far as they have rows. */
  others(): Promise<readonly OtherData[]>
}

export interface SourceOptions {
  /** How long to wait for another process's lock, in milliseconds. */
  readonly busyTimeoutMs?: number | undefined
  /** Whatever migrations are pending: our tables have the same columns in every version. */
  readonly anySchema?: boolean | undefined
}

/** What is held at a time: so many rows, or so many bytes of them. */
export const SLICE_ROWS = 200
export const SLICE_BYTES = 1_048_576

/** The characters of a row's texts: about what it takes in memory. */
export function sizeOf(cells: readonly unknown[]): number {
  let size = 0
  for (const cell of cells) if (typeof cell === 'string') size += cell.length
  return size
}

/** How many rows the next page has, by the size of the last one's. */
export const nextLimit = (rows: readonly (readonly unknown[])[], most: number): number => {
  const size = rows.reduce((sum, row) => sum + sizeOf(row), 0)
  return Math.min(most, Math.max(1, Math.floor((SLICE_BYTES * rows.length) / Math.max(1, size))))
}

export async function countAll(snapshot: Snapshot, tables: readonly Table[]): Promise<number> {
  let total = 0
  for (const table of tables) total += await snapshot.count(table)
  return total
}

/** To be called with each number of rows that is done. The rows are counted only if somebody listens. */
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
