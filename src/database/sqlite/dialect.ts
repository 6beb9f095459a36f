/** SQLite for the statement compiler. */
import { getTableColumns, getTableName, Param, sql } from 'drizzle-orm'
import { BaseSQLiteDatabase, SQLiteSyncDialect, type SQLiteTable } from 'drizzle-orm/sqlite-core'
import * as tables from '../../schema/sqlite.ts'
import { type Built, type Functions, nextMillisecond, type Queries } from '../queries.ts'
import type { BuiltQuery, Dialect } from '../statement.ts'
import { baseNameOf, tablesIn } from '../tables-in.ts'
import { invalidations } from './invalidations.ts'
import { jsonArrayOf } from './json.ts'

const functions: Functions = {
  isOneOf: (column, list) => sql`${column} IN (SELECT value FROM json_each(${new Param(list, jsonArrayOf(column))}))`,
  contains: (column, value) => sql`EXISTS (SELECT 1 FROM json_each(${column}) WHERE value = ${value})`,
  // https://sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_
  unindexed: (condition) => sql`+(${condition})`,
  greatest: (a, b) => sql`max(${a}, ${b})`,
  // Two calls of functions for each row take 3 % of the update. Two milliseconds later neither is needed.
  nowOrAfter: (now, time) =>
    sql`CASE WHEN ${now} >= ${time} + 0.002 THEN ${now} ELSE max(${now}, ${nextMillisecond(time)}) END`,
  invalidations,
  twinOf: ({ sqlite }) => sqlite,
}

/** A finished query of Drizzle's, as far as we look into it. */
interface Prepared {
  readonly config: { readonly table: SQLiteTable }
  readonly joinsNotNullableMap?: Readonly<Record<string, boolean>>
  prepare(): BuiltQuery
}

/** A session for Drizzle that returns the finished query instead of running it. */
const handBack = {
  prepareQuery: (query: { sql: string; params: unknown[] }, fields: BuiltQuery['fields']): BuiltQuery => ({
    sql: query.sql,
    params: query.params,
    fields,
  }),
}
const drizzle = new BaseSQLiteDatabase('sync', new SQLiteSyncDialect(), handBack as never, undefined)
/** The one cast of this driver: Drizzle's builder as the part of it that both dialects share. The conformance suites run every statement. */
const queries = drizzle as unknown as Queries

const built = <R>(build: (db: Queries) => Built<R>): Prepared => build(queries) as unknown as Prepared

export const sqliteDialect: Dialect = {
  tables,
  functions,
  render: (build) => {
    const query = built(build)
    return { ...query.prepare(), joins: query.joinsNotNullableMap }
  },
  targetOf: (build) => {
    const { table } = built(build).config
    const [key] = Object.entries(getTableColumns(table)).find(([, { primary }]) => primary) ?? []
    return { table: getTableName(table), key }
  },
  tablesOf: (build) => [...new Set([...tablesIn(build(queries))].map(baseNameOf))],
}
