/** What an export reads from: one moment of a database, whatever the dialect. */
import type { OtherData } from '../api.ts'
import type { TableRow } from '../migrator/adoption-rows.ts'
import type { TableName } from './tables.ts'

/** Without `rowid` where rows have none. */
export type StoredRow = Pick<TableRow, 'row'> & Partial<TableRow>

export interface Snapshot {
  /** The last migration. */
  readonly schemaVersion: string
  count(table: TableName): Promise<number>
  /**
   * The cells of each row, undecoded, in the order of the keys' bytes; few at a time, by their size. Behind those of the
   * columns there may be one by which `stored` finds the row again.
   */
  slices(table: TableName): AsyncIterable<readonly (readonly unknown[])[]>
  /** Every value of such a row as it is stored, with all of its bits, for those who put it aside. */
  stored(table: TableName, cells: readonly unknown[]): StoredRow
  /** The application's own tables and columns, as far as they have rows. */
  others(): Promise<readonly OtherData[]>
}

export interface SourceOptions {
  /** How long to wait for another process's lock, in milliseconds. */
  readonly busyTimeoutMs?: number | undefined
  /** Whatever migrations are pending: the three tables have the same columns in every version. */
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
