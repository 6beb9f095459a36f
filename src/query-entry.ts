/**
 * `meshstore/query`: Drizzle's operators, as far as both dialects mean the same by them. Some are the library's own: they are listed
 * first.
 *
 * @module meshstore/query
 */
import './node-version.ts'

export {
  and,
  between,
  count,
  countDistinct,
  eq,
  exists,
  gt,
  gte,
  isNotNull,
  isNull,
  lt,
  lte,
  max,
  min,
  ne,
  not,
  notBetween,
  notExists,
  or,
  sql,
} from 'drizzle-orm'
export { alias, except, intersect, union, unionAll } from 'drizzle-orm/sqlite-core'
export { asc, avg, desc, inArray, notInArray, startsWith, sum } from './tables/operators.ts'
