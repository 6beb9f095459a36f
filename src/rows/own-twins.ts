/** Drizzle's tables for own tables, made from their descriptions: an import runs statements as the repositories do. */
import { type Table as DrizzleTable, is } from 'drizzle-orm'
import { type PgColumnBuilderBase, pgTable } from 'drizzle-orm/pg-core'
import { type SQLiteColumnBuilderBase, SQLiteTable, sqliteTable } from 'drizzle-orm/sqlite-core'
import type { Tables } from '../database/queries.ts'
import * as postgres from '../schema/columns-postgres.ts'
import * as sqlite from '../schema/columns-sqlite.ts'
import type { KindName } from '../schema/kinds.ts'
import type { Table } from '../schema/tables.ts'

type Builders = Readonly<Record<KindName, (name: string) => { primaryKey(): unknown }>>

const DIALECTS: Readonly<Record<'sqlite' | 'postgres', Builders>> = { sqlite, postgres }
const made = { sqlite: new WeakMap<Table, DrizzleTable>(), postgres: new WeakMap<Table, DrizzleTable>() }

/** In the dialect of our own tables. */
export function ownTwin(tables: Tables, table: Table): DrizzleTable {
  const dialect = is(tables.nodes, SQLiteTable) ? 'sqlite' : 'postgres'
  const twin = made[dialect].get(table) ?? makeTwin(dialect, table)
  made[dialect].set(table, twin)
  return twin
}

/** With the key as primary key: statements about one row are found by it. The casts: test/move/own-tables.test.ts imports each kind. */
function makeTwin(dialect: 'sqlite' | 'postgres', { name, columns, key }: Table): DrizzleTable {
  const built = Object.fromEntries(
    columns.map((column) => {
      const builder = DIALECTS[dialect][column.kind](column.name)
      return [column.property, column === key ? builder.primaryKey() : builder]
    }),
  )
  return dialect === 'sqlite'
    ? sqliteTable(name, built as Record<string, SQLiteColumnBuilderBase>)
    : pgTable(name, built as Record<string, PgColumnBuilderBase>)
}
