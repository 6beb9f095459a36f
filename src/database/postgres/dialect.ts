/** PostgreSQL for the statement compiler. */
import { getTableName, Param, sql, type Table } from 'drizzle-orm'
import { PgDatabase, PgDialect } from 'drizzle-orm/pg-core'
import { StorageError } from '../../errors.ts'
import * as tables from '../../schema/postgres.ts'
import { type Built, type Functions, nextMillisecond, type Queries } from '../queries.ts'
import type { BuiltQuery, Dialect } from '../statement.ts'
import { baseNameOf, tablesIn } from '../tables-in.ts'
import { arrayOf } from './arrays.ts'
import { bulkChange, bulkInsert, bulkRead, keyOf, type Prepared, typeOf } from './bulk-statements.ts'
import { invalidations } from './invalidations.ts'
import { looksOf } from './looks.ts'

const functions: Functions = {
  isOneOf: (column, list) => sql`${column} = ANY(${new Param(list, arrayOf(column))}::${sql.raw(typeOf(column))}[])`,
  contains: (column, value) => sql`${column} @> to_jsonb(${value}::text)`,
  // The session's `enable_sort` says it.
  unindexed: (condition) => condition,
  greatest: (a, b) => sql`greatest(${a}, ${b})`,
  nowOrAfter: (now, time) => sql`greatest(${now}, ${nextMillisecond(time)})`,
  invalidations,
  twinOf: ({ name, postgres }) => {
    if (postgres !== undefined) return postgres
    throw new StorageError('CONFIG', `The table ${name} has no twin on PostgreSQL. Give table() its option postgres.`)
  },
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

/** The library's tables by their names in the database. */
const TWINS: ReadonlyMap<string, string> = new Map(
  Object.entries(tables).map(([twin, table]) => [getTableName(table), twin]),
)
const nameOf = (table: Table): string => TWINS.get(baseNameOf(table)) ?? baseNameOf(table)

export const postgresDialect: Dialect = {
  tables,
  functions,
  render: (build) => {
    const query = built(build)
    return { ...query.prepare(''), joins: query.joinsNotNullableMap }
  },
  renderBulk: (build, kind) => {
    if (kind === 'reads one row') return bulkRead(() => built(build))
    if (kind === 'changes one row') return bulkChange(() => built(build))
    return bulkInsert(drizzle, (db) => built(build, db))
  },
  targetOf: (build) => {
    const { table } = built(build).config
    const [key, column] = keyOf(table) ?? []
    return { table: nameOf(table), key, looks: column && looksOf(table, column) }
  },
  tablesOf: (build) => [...new Set([...tablesIn(built(build))].map(nameOf))],
}
