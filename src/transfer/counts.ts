/** Counts a file's rows by outcome. */
import type { Table } from '../schema/tables.ts'

export interface TableCounts {
  added: number
  replaced: number
  /** Rows whose keys existed: they stay as they are. */
  skipped: number
  /** Lines that repeat a key of the file. `skip` takes the first of them, `replace` the last. */
  repeated: number
}
/** By the tables' names. */
export type Counts = Readonly<Record<string, TableCounts>>

export function noCounts(tables: readonly Table[]): Counts {
  const none = (): TableCounts => ({ added: 0, replaced: 0, skipped: 0, repeated: 0 })
  return Object.fromEntries(tables.map(({ name }) => [name, none()]))
}

export function countsOf(counts: Counts, table: string): TableCounts {
  const found = counts[table]
  if (found === undefined) throw new TypeError(`Nothing counts ${table}.`)
  return found
}
