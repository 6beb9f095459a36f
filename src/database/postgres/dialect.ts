/** PostgreSQL for the statement compiler. */
import { Param, sql } from 'drizzle-orm'
import { PgDatabase, PgDialect } from 'drizzle-orm/pg-core'
import * as tables from '../../schema/postgres.ts'
import type { Functions, Queries } from '../queries.ts'
import type { BuiltQuery, Dialect } from '../statement.ts'

/** The driver makes a PostgreSQL array of it; Drizzle on its own would make a list of parameters. */
const textArray = { mapToDriverValue: (list: unknown): unknown => list }

const functions: Functions = {
  isOneOf: (column, list) => sql`${column} = ANY(${new Param(list, textArray)}::text[])`,
  contains: (column, value) => sql`${column} @> to_jsonb(${value}::text)`,
  greatest: (a, b) => sql`greatest(${a}, ${b})`,
}

/** Drizzle's session is where it hands a finished query to a driver. This one hands it back. */
const handBack = {
  prepareQuery: (query: { sql: string; params: unknown[] }, fields: BuiltQuery['fields']): BuiltQuery => ({
    sql: query.sql,
    params: query.params,
    fields,
  }),
}
const drizzle = new PgDatabase(new PgDialect(), handBack as never, undefined)

export const postgresDialect: Dialect = {
  tables,
  functions,
  // The one cast of this driver: Drizzle's builder as the part of it that both dialects share. Every statement of every
  // repository is compiled and run by the conformance suites.
  render: (build) =>
    (build(drizzle as unknown as Queries) as unknown as { prepare(name: string): BuiltQuery }).prepare(''),
}
