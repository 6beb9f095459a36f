/** The tables of a replica: nodes, policies and the application's own. The path cache is computed anew. */
import { StorageError } from '../errors.ts'
import type { AppMigration } from '../migrator/app-ledger.ts'
import { ownOf } from '../rows/own-tables.ts'
import { rowOfTable, TABLE_ROW, tableOfRow } from '../schema/described.ts'
import { ALL_TABLES, type Table } from '../schema/tables.ts'

export const isReplicated = ({ name }: Table): boolean => name !== 'path_cache'

/** Ours. */
const REPLICATED: readonly Table[] = ALL_TABLES.filter(isReplicated)

/** The application's own tables, as an object of a place describes them. */
export interface Described {
  /** Their descriptions as JSON, a parent before its children. */
  readonly own?: readonly string[] | undefined
  /** The application's migrations that the source had. */
  readonly appMigrations?: readonly AppMigration[] | undefined
}

export const descriptionsOf = (tables: readonly Table[]): readonly string[] =>
  ownOf(tables).map((table) => rowOfTable(table)[1])

export const ownIn = ({ own = [] }: Described): Table[] =>
  own.map((text) => tableOfRow(`${TABLE_ROW}${(JSON.parse(text) as { name: string }).name}`, text))

/** The tables of an object, a parent before its children. Throws SCHEMA_MISMATCH for a bad description. */
export const tablesOf = (described: Described): readonly Table[] => [...REPLICATED, ...ownIn(described)]

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
