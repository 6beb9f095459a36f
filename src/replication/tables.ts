/** The tables of a replica. The path cache is computed anew. */
import { StorageError } from '../errors.ts'
import { ALL_TABLES, type Table } from '../schema/tables.ts'

export const REPLICATED: readonly Table[] = ALL_TABLES.filter(({ name }) => name !== 'path_cache')

/** The columns of each table, by the table's name: an object names its columns, so that each version can read it. */
export type Columns = Readonly<Record<string, readonly string[]>>

export const columnsOf = (tables: readonly Table[]): Columns =>
  Object.fromEntries(tables.map(({ name, columns }) => [name, columns.map((column) => column.name)]))

/** Refuses an object with tables or columns that this version does not have. Throws SCHEMA_NEWER. */
export function assertKnownColumns(found: Columns, tables: readonly Table[], name: string): void {
  const known = columnsOf(tables)
  for (const [table, columns] of Object.entries(found)) {
    if (JSON.stringify(known[table]) === JSON.stringify(columns)) continue
    throw new StorageError(
      'SCHEMA_NEWER',
      `${name} has columns of ${table} that this version does not have. Nothing was restored. Use the version that wrote it.`,
    )
  }
}
