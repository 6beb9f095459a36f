/** PostgreSQL for the statement compiler. */
import { getTableColumns, Param, type Placeholder, sql } from 'drizzle-orm'
import { type PgColumn, PgDatabase, PgDialect, type PgTable } from 'drizzle-orm/pg-core'
import * as tables from '../../schema/postgres.ts'
import type { Functions, Queries } from '../queries.ts'
import type { BuiltQuery, Dialect } from '../statement.ts'
import { textArray } from './arrays.ts'
import { invalidations } from './invalidations.ts'

const functions: Functions = {
  isOneOf: (column, list) => sql`${column} = ANY(${new Param(list, textArray)}::text[])`,
  contains: (column, value) => sql`${column} @> to_jsonb(${value}::text)`,
  // The session's `enable_sort` says it.
  unindexed: (condition) => condition,
  greatest: (a, b) => sql`greatest(${a}, ${b})`,
  invalidations,
}

/** Drizzle's session is where it hands a finished query to a driver. This one hands it back. */
const handBack = {
  prepareQuery: (query: { sql: string; params: unknown[] }, fields: BuiltQuery['fields']) => {
    const built = { sql: query.sql, params: query.params, fields }
    // Drizzle calls this on what it was given, for a hosted driver's sake.
    return { ...built, setToken: (): BuiltQuery => built }
  },
}
const drizzle = new PgDatabase(new PgDialect(), handBack as never, undefined)

/**
 * Makes `INSERT … VALUES (one row)` into `INSERT … SELECT … FROM unnest(lists)`: a statement has at most 65,535
 * parameters, and a list is one. For every other part of the query it is Drizzle's builder.
 */
class BulkInsert {
  key = ''

  readonly insert = (table: PgTable) => ({
    values: (row: Readonly<Record<string, Placeholder>>) => {
      const lists = Object.entries(getTableColumns(table)).map(([property, column]) => {
        if (column.primary) this.key = property
        const type = sql.raw(column.getSQLType().replace(/ COLLATE .*$/, ''))
        return sql`${new Param(row[property], listEncoder(column))}::${type}[]`
      })
      return drizzle.insert(table).select(sql`SELECT * FROM unnest(${sql.join(lists, sql`, `)})`)
    },
  })
}

const listEncoder = (column: PgColumn) => ({
  mapToDriverValue: (list: unknown): unknown => (list as unknown[]).map((value) => column.mapToDriverValue(value)),
})

/** A finished query of Drizzle's, as far as we look into it. */
interface Prepared {
  prepare(name: string): BuiltQuery
}
interface Insert extends Prepared {
  readonly config: { readonly table: PgTable; readonly returning?: unknown }
  returning(fields: Readonly<Record<string, PgColumn>>): Prepared
}

export const postgresDialect: Dialect = {
  tables,
  functions,
  // The one cast of this driver: Drizzle's builder as the part of it that both dialects share. Every statement of every
  // repository is compiled and run by the conformance suites.
  render: (build) => (build(drizzle as unknown as Queries) as unknown as Prepared).prepare(''),
  renderBulk: (build) => {
    const bulk = new BulkInsert()
    const insert = build(bulk as unknown as Queries) as unknown as Insert
    const { [bulk.key]: key } = getTableColumns(insert.config.table)
    if (insert.config.returning !== undefined || key === undefined) return { query: insert.prepare(''), key: bulk.key }
    // Without RETURNING nobody would know which of the rows were there already.
    return { query: insert.returning({ [bulk.key]: key }).prepare(''), key: bulk.key }
  },
}
