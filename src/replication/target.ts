/** A database that gets its rows from a place. */
import type { TableContent } from '../api.ts'
import type { Plain } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import type { Line } from './object.ts'

/** An open transaction of such a database. */
export interface ReplicaTarget {
  /** Inserts rows, and replaces those with the same keys. */
  put(table: Table, rows: readonly (readonly Plain[])[]): Promise<void>
  remove(table: Table, keys: readonly string[]): Promise<void>
  /** Removes the rows behind `after` and up to `upTo`, but those with these keys. `undefined`: from the beginning, to the end. */
  removeBetween(
    table: Table,
    range: { readonly after: string | undefined; readonly upTo: string | undefined },
    keys: readonly string[],
  ): Promise<void>
  content(table: Table): Promise<TableContent>
}

type Change = readonly Plain[] | undefined

/** Applies lines in their order. A key may occur more than once: its last line counts. */
export async function applyLines(
  target: ReplicaTarget,
  tables: readonly Table[],
  lines: readonly Line[],
): Promise<void> {
  const changes = new Map<string, Map<string, Change>>()
  for (const line of lines) {
    const table = tables.find(({ name }) => name === line.table)
    if (table === undefined) continue
    const key = 'cells' in line ? String(line.cells[table.columns.indexOf(table.key)]) : line.deleted
    const known = changes.get(line.table) ?? new Map<string, Change>()
    changes.set(line.table, known.set(key, 'cells' in line ? line.cells : undefined))
  }
  // Children go before their parents, and come after them.
  for (const table of tables.toReversed()) {
    const removed = [...(changes.get(table.name) ?? [])].flatMap(([key, cells]) => (cells === undefined ? key : []))
    if (removed.length > 0) await target.remove(table, removed)
  }
  for (const table of tables) {
    const rows = [...(changes.get(table.name) ?? [])].flatMap(([, cells]) => (cells === undefined ? [] : [cells]))
    if (rows.length > 0) await target.put(table, rows)
  }
}
