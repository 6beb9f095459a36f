/** Operators that the dialects write differently, or that Drizzle types by one of them. */
import {
  type AnyColumn,
  type Column,
  inArray as drizzleInArray,
  notInArray as drizzleNotInArray,
  type GetColumnData,
  is,
  type SQL,
  type SQLWrapper,
  Column as SqlColumn,
  sql,
} from 'drizzle-orm'
import { Parameter } from './parameter.ts'

/** NULLs come first in ascending order on both dialects. */
export const asc = (column: AnyColumn | SQLWrapper): SQL =>
  isNotNull(column) ? sql`${column} asc` : sql`${column} asc nulls first`
export const desc = (column: AnyColumn | SQLWrapper): SQL =>
  isNotNull(column) ? sql`${column} desc` : sql`${column} desc nulls last`

/** PostgreSQL uses an index for the plain order alone. */
const isNotNull = (column: AnyColumn | SQLWrapper): boolean => is(column, SqlColumn) && column.notNull

/** A number; `null` without rows. */
export const avg = (expression: SQLWrapper): SQL<number | null> =>
  sql<number | null>`avg(${expression})`.mapWith(Number)
export const sum = (expression: SQLWrapper): SQL<number | null> =>
  sql<number | null>`sum(${expression})`.mapWith(Number)

type List<C extends Column> = readonly GetColumnData<C, 'raw'>[] | SQLWrapper

/** The column's value is one of a list, of a parameter that is a list, or of a subquery. */
export const inArray = <C extends Column>(column: C, values: List<C>): SQL =>
  values instanceof Parameter ? values.holds(column) : drizzleInArray(column, values as SQLWrapper)
export const notInArray = <C extends Column>(column: C, values: List<C>): SQL =>
  values instanceof Parameter ? sql`not (${values.holds(column)})` : drizzleNotInArray(column, values as SQLWrapper)

/** The text begins with the prefix, letter by letter: LIKE ignores case on SQLite. */
export const startsWith = (column: Column, prefix: string): SQL =>
  sql`substr(${column}, 1, length(${sql.param(prefix, column)})) = ${sql.param(prefix, column)}`
