/** Counts a file's rows by outcome. */
import { TABLE_NAMES, type TableName } from '../schema/tables.ts'

export interface TableCounts {
  added: number
  replaced: number
  /** Rows whose keys existed: they stay as they are. */
  skipped: number
  /** Lines that repeat a key of the file. `skip` takes the first of them, `replace` the last. */
  repeated: number
}
export type Counts = Readonly<Record<TableName, TableCounts>>

export function noCounts(): Counts {
  const none = (): TableCounts => ({ added: 0, replaced: 0, skipped: 0, repeated: 0 })
  return Object.fromEntries(TABLE_NAMES.map((table) => [table, none()])) as Record<TableName, TableCounts>
}
