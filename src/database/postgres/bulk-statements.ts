/** One statement for many calls: its parameters are lists, which `unnest` makes into rows. */
import { getTableColumns, Param, Placeholder, sql } from 'drizzle-orm'
import type { PgColumn, PgDatabase, PgQueryResultHKT, PgTable } from 'drizzle-orm/pg-core'
import type { BuiltQuery, BulkQuery } from '../statement.ts'

/** A finished query of Drizzle's, as far as we look into it. */
export interface Prepared {
  readonly config: { readonly table: PgTable; readonly returning?: unknown }
  readonly joinsNotNullableMap?: Readonly<Record<string, boolean>>
  prepare(name: string): BuiltQuery
  returning(fields: Readonly<Record<string, PgColumn>>): Prepared
}

/** The primary key's property and column. */
export const keyOf = (table: PgTable): readonly [string, PgColumn] | undefined =>
  Object.entries(getTableColumns(table)).find(([, { primary }]) => primary)

export const typeOf = (column: Pick<PgColumn, 'getSQLType'>): string => column.getSQLType().replace(/ COLLATE .*$/, '')

const nameOf = (param: unknown): string => {
  const value = param instanceof Param ? param.value : param
  return value instanceof Placeholder ? String(value.name) : ''
}

/** The parameters of the two must be the same: each call is encoded for the single statement. */
function bulk(single: Prepared, { sql, params, fields }: BuiltQuery): BulkQuery {
  const names = single.prepare('').params.map(nameOf)
  const [key = ''] = keyOf(single.config.table) ?? []
  const keyAt = names.indexOf(key)
  if (keyAt < 0) throw new TypeError('A statement that concerns one row has its key as a parameter.')
  if (params.map(nameOf).join() !== names.join()) throw new TypeError('A bulk statement has other parameters.')
  const rowKeyAt = fields?.findIndex(({ path }) => path.join('.') === key) ?? -1
  return { query: { sql, params, fields }, key, keyAt, rowKeyAt }
}

/** A query that returns at least the key: the caller must learn which of the rows were written. */
function returningKey(query: Prepared): BuiltQuery {
  const { table, returning } = query.config
  const [key, column] = keyOf(table) ?? []
  if (key === undefined || column === undefined) throw new TypeError('A statement for one row needs a primary key.')
  return (returning === undefined ? query.returning({ [key]: column }) : query).prepare('')
}

/**
 * Makes `INSERT … VALUES (one row)` into `INSERT … SELECT … FROM unnest(lists)`: a statement has at most 65,535
 * parameters, and a list is one. Drizzle's builder makes every other part of the query.
 */
export function bulkInsert(drizzle: PgDatabase<PgQueryResultHKT>, build: (db: unknown) => Prepared): BulkQuery {
  const insert = (table: PgTable) => ({
    values: (row: Readonly<Record<string, Placeholder>>) => {
      const lists = Object.entries(getTableColumns(table)).map(
        ([name, column]) => sql`${row[name]}::${sql.raw(typeOf(column))}[]`,
      )
      return drizzle.insert(table).select(sql`SELECT * FROM unnest(${sql.join(lists, sql`, `)})`)
    },
  })
  return bulk(build(drizzle), returningKey(build({ insert })))
}

/** Makes `UPDATE … WHERE key = $1` into `UPDATE … FROM unnest(lists) WHERE key = list`, and DELETE likewise. */
export function bulkChange(build: () => Prepared): BulkQuery {
  const { sql: text, params, fields } = returningKey(build())
  const lists = params.map((param, at) => {
    const column = param instanceof Param ? (param.encoder as PgColumn) : undefined
    if (column?.getSQLType === undefined) throw new TypeError('Each parameter of a bulk statement needs a type.')
    return `$${at + 1}::${typeOf(column)}[]`
  })
  const names = lists.map((_, at) => `"p${at + 1}"`)
  const keyword = text.startsWith('delete') ? 'using' : 'from'
  const sql = text
    .replaceAll(/\$(\d+)/g, '"u"."p$1"')
    .replace(' where ', ` ${keyword} unnest(${lists.join(', ')}) AS "u"(${names.join(', ')}) where `)
  return bulk(build(), { sql, params, fields })
}

/** Makes `WHERE key = $1` into `WHERE key = ANY(list)`. Every other parameter is the same for all of the calls. */
export function bulkRead(build: () => Prepared): BulkQuery {
  const query = build().prepare('')
  const single = bulk(build(), query)
  const parameter = `$${single.keyAt + 1}`
  const sql = query.sql.replace(`= ${parameter}`, `= any(${parameter}::text[])`)
  return { ...single, query: { ...query, sql } }
}
