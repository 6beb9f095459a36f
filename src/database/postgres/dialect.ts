/** PostgreSQL for the statement compiler. */
import { Param, sql } from 'drizzle-orm'
import { PgDatabase, PgDialect } from 'drizzle-orm/pg-core'
import * as tables from '../../schema/postgres.ts'
import type { Built, Functions, Queries } from '../queries.ts'
import type { BuiltQuery, Dialect } from '../statement.ts'
import { textArray } from './arrays.ts'

import { bulkChange, bulkInsert, bulkRead, keyOf, type Prepared } from './bulk-statements.ts'
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

// The one cast of this driver: Drizzle's builder as the part of it that both dialects share. Every statement of every
// repository is compiled and run by the conformance suites.
const built = <R>(build: (db: Queries) => Built<R>, db: unknown = drizzle): Prepared =>
  build(db as Queries) as unknown as Prepared

const TABLE_NAMES = new Map<unknown, string>(Object.entries(tables).map(([name, table]) => [table, name]))

export const postgresDialect: Dialect = {
  tables,
  functions,
  render: (build) => built(build).prepare(''),
  renderBulk: (build, kind) => {
    if (kind === 'reads one row') return bulkRead(() => built(build))
    if (kind === 'changes one row') return bulkChange(() => built(build))
    return bulkInsert(drizzle, (db) => built(build, db))
  },
  targetOf: (build) => {
    const { table } = built(build).config
    const name = TABLE_NAMES.get(table)
    if (name === undefined) throw new TypeError('A statement concerns a table of the schema.')
    return { table: name, key: keyOf(table)?.[0] }
  },
}
