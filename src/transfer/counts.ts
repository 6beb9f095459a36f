/** Counts a file's rows by outcome. */
import { TABLE_NAMES, type TableName } from '../schema/tables.ts'

export interface TableCounts {
  added: number
  replaced: number
  /** Left as they are, because their keys were there. */
  skipped: number
  /** Lines whose keys were in the file already: with `skip` the first one counts, with `replace` the last one. */
  repeated: number
}
export type Counts = Readonly<Record<TableName, TableCounts>>

export function noCounts(): Counts {
  const none = (): TableCounts => ({ added: 0, replaced: 0, skipped: 0, repeated: 0 })
  return Object.fromEntries(TABLE_NAMES.map((table) => [table, none()])) as Record<TableName, TableCounts>
}
