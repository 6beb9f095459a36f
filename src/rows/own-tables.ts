/** The tables of a database: ours, and the application's own tables that it describes. */
import { StorageError } from '../errors.ts'
import { TABLE_ROW } from '../schema/described.ts'
import { type Kind, kindOf } from '../schema/kinds.ts'
import { ALL_TABLES, TABLES, type Table } from '../schema/tables.ts'

const OURS: ReadonlySet<Table> = new Set<Table>(ALL_TABLES)

export const isOwn = (table: Table): boolean => !OURS.has(table)
export const ownOf = (tables: readonly Table[]): Table[] => tables.filter(isOwn)

export const tableIn = (tables: readonly Table[], name: unknown): Table | undefined =>
  tables.find((table) => table.name === name)

/** A foreign key between two of the tables. */
export interface ForeignKey {
  readonly table: string
  readonly columns: readonly string[]
  readonly parent: string
  readonly parentColumns: readonly string[]
}

export interface DatabaseTables {
  /** In the order of copies: a parent before its children. */
  readonly tables: readonly Table[]
  readonly foreignKeys: readonly ForeignKey[]
}

/** A row whose parent is missing. */
export interface Orphan {
  readonly table: string
  readonly key: unknown
  readonly parent: string
}

export const OUR_TABLES_ALONE: DatabaseTables = { tables: ALL_TABLES, foreignKeys: [] }

/**
 * Ours and `own`, parent first. Cached paths come last, unless a table refers to them: a row of an own table may invalidate
 * paths that are there before it. Throws SCHEMA_MISMATCH if tables refer to each other in a circle.
 */
export function inOrder(own: readonly Table[], foreignKeys: readonly ForeignKey[]): DatabaseTables {
  if (own.length === 0) return OUR_TABLES_ALONE
  const sorted = own.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const all: readonly Table[] = [TABLES.nodes, TABLES.policies, ...sorted, TABLES.pathCache]
  const tables: Table[] = []
  const visit = (table: Table, path: readonly string[]): void => {
    if (tables.includes(table)) return
    if (path.includes(table.name)) throw circle([...path.slice(path.indexOf(table.name)), table.name])
    for (const { parent } of foreignKeys.filter((key) => key.table === table.name)) {
      const found = tableIn(all, parent)
      if (found !== undefined) visit(found, [...path, table.name])
    }
    tables.push(table)
  }
  for (const table of all) visit(table, [])
  const known = foreignKeys.filter(({ table, parent }) => tableIn(all, table) && tableIn(all, parent))
  return { tables, foreignKeys: known }
}

const circle = (names: readonly string[]): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    `The foreign keys of ${names.join(' → ')} make a circle: no table can be copied first. Nothing was changed. Remove one of them.`,
  )

export interface RealColumn {
  readonly name: string
  readonly type: string
}

/** Types that hold a kind's values, by the kind's type in PostgreSQL. */
export type FittingTypes = Readonly<Record<Kind['postgres'], RegExp>>

/** Throws SCHEMA_MISMATCH if the table does not have the columns that its row describes. */
export function assertFits(table: Table, real: readonly RealColumn[], types: FittingTypes): void {
  for (const column of table.columns) {
    const found = real.find(({ name }) => name === column.name)
    if (found === undefined) throw unlike(table, `has no column ${column.name}`)
    if (!types[kindOf(column).postgres].test(found.type))
      throw unlike(table, `has a column ${column.name} that cannot be of the kind ${column.kind}`)
  }
}

export const unlike = ({ name }: Table, what: string): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    `The row "${TABLE_ROW}${name}" of meshstore_state does not describe the table: ${name} ${what}. Nothing was changed. Open the database with the application, which writes the row again.`,
  )
