/** Descriptions of own tables at run time. */
import type { PgTable } from 'drizzle-orm/pg-core'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import type { OwnTable } from '../api.ts'
import { StorageError } from '../errors.ts'
import type { Table } from '../schema/tables.ts'

/** A table's description with its twins. */
export interface Described extends Table {
  readonly sqlite: SQLiteTable
  readonly postgres: PgTable | undefined
  /** Values of columns that are not given. */
  readonly defaults: readonly (readonly [property: string, value: () => unknown])[]
  /** Columns that lists can be ordered by: not nullable, and first in an index. */
  readonly ordered: ReadonlySet<string>
  /** The properties of each index, up to the first expression. */
  readonly indexes: readonly (readonly string[])[]
  /** The tables that its foreign keys name. */
  readonly parents: readonly string[]
}

type AnyTable = OwnTable & { readonly sqlite: SQLiteTable }
export type AnyTables = Readonly<Record<string, AnyTable>>

/** On what `table()` returned: an application may load this package twice, as ESM and as CommonJS. */
const DESCRIPTION = Symbol.for('meshstore.table')

/** Throws CONFIG for a value that `table()` did not return. */
export function describedBy(table: object): Described {
  const described = (table as { readonly [DESCRIPTION]?: Described } | undefined)?.[DESCRIPTION]
  if (described !== undefined) return described
  throw new StorageError(
    'CONFIG',
    'The option tables has a table that table() did not make. Make each with table() of meshstore/tables.',
  )
}

export const describe = (table: object, described: Described): void => {
  Object.defineProperty(table, DESCRIPTION, { value: described })
}

/** The tables whose changes drop cached paths. A row of a parent may take children with it that do. */
export function topologyOf(tables: AnyTables): string[] {
  const all = Object.values(tables).map(describedBy)
  const names = new Set(all.flatMap(({ name, invalidates }) => (invalidates === undefined ? [] : name)))
  // The set grows meanwhile, by the parents of parents.
  for (const each of names) for (const parent of all.find(({ name }) => name === each)?.parents ?? []) names.add(parent)
  return [...names]
}
