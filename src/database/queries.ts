/**
 * The part of Drizzle's query builder that both dialects share, as types: repositories compile against it, and each
 * dialect hands in its own builder. Drizzle has no common type of its own: a union of its two databases is not callable
 * (TS2349).
 */
import {
  type AnyColumn,
  type Column,
  and as drizzleAnd,
  asc as drizzleAsc,
  count as drizzleCount,
  desc as drizzleDesc,
  eq as drizzleEq,
  gt as drizzleGt,
  lt as drizzleLt,
  lte as drizzleLte,
  type GetColumnData,
  getTableColumns,
  type InferInsertModel,
  type InferSelectModel,
  Param,
  type Placeholder,
  type SQL,
  type SQLWrapper,
  sql,
  type Table,
} from 'drizzle-orm'
import type * as postgres from '../schema/postgres.ts'
import type * as sqlite from '../schema/sqlite.ts'

export type { SQL }
export type Tables = typeof sqlite | typeof postgres

declare const carries: unique symbol
/** A typed placeholder: bound when the statement runs. */
export interface Argument<T> extends Placeholder {
  readonly [carries]?: (value: T) => void
}
export type Arguments<P> = { readonly [K in keyof P]-?: Argument<Exclude<P[K], undefined>> }

/** A finished query whose rows are `R`. */
export interface Built<R> {
  readonly [carries]?: R
}

type Values<T extends Table> = {
  [K in keyof InferInsertModel<T>]: Argument<Exclude<InferInsertModel<T>[K], undefined>> | SQL
}
type Fields = Record<string, AnyColumn | SQL>
type Row<F extends Fields> = {
  [K in keyof F]: F[K] extends Column ? GetColumnData<F[K]> : F[K] extends SQL<infer T> ? T : never
}

export interface Select<R> extends Built<R> {
  where(condition: SQL | undefined): Select<R>
  orderBy(...columns: SQL[]): Select<R>
  limit(count: number | Argument<number>): Select<R>
  offset(count: Argument<number>): Select<R>
}
interface From<R> {
  from(table: Table): Select<R>
}
interface Returning<T extends Table> extends Built<never> {
  returning(): Built<InferSelectModel<T>>
  returning<F extends Fields>(fields: F): Built<Row<F>>
}
interface Insert<T extends Table> extends Returning<T> {
  onConflictDoNothing(config?: { target: Column }): Returning<T>
  onConflictDoUpdate(config: { target: Column; set: Partial<Values<T>> }): Returning<T>
}
interface Conditional<T extends Table> extends Returning<T> {
  where(condition: SQL | undefined): Returning<T>
}

export interface Queries {
  select(): { from<T extends Table>(table: T): Select<InferSelectModel<T>> }
  select<F extends Fields>(fields: F): From<Row<F>>
  insert<T extends Table>(table: T): { values(row: Values<T>): Insert<T>; select(row: SQL): Insert<T> }
  update<T extends Table>(table: T): { set(values: Partial<Values<T>>): Conditional<T> }
  delete<T extends Table>(table: T): Conditional<T>
}

/** Expressions that differ between the dialects. */
export interface Functions {
  /** The column's value is one of the list's. */
  isOneOf(column: Column, list: Placeholder): SQL
  /** The column's list holds the value. */
  contains(column: Column, value: Argument<string>): SQL
  /** The condition, hidden from the planner: it uses another column's index. */
  unindexed(condition: SQL): SQL
  /** The larger of two numbers. */
  greatest(a: SQL, b: SQL): SQL
  /** `now`, or the millisecond after the column's time if that is later. For statements that write many rows. */
  nowOrAfter(now: SQL, time: Column): SQL
  readonly invalidations: InvalidationFunctions
  /** The twin of an application's own table. Throws CONFIG if the application gave none for this dialect. */
  twinOf(twins: Twins): Table
}

/** An application's own table, for each dialect. */
export interface Twins {
  readonly name: string
  readonly sqlite: Table
  readonly postgres: Table | undefined
}

/**
 * Which invalidations (rows of path_cache_marks) concern which cached paths. An invalidation is newer than a path whose writer
 * did not see it; path_cache_stamps says what the writer saw. A path is "concerned" if the invalidation fits it by source and
 * destination; `through` needs the nodes on the path, and is compared outside the database. An invalidation is pending until a
 * sweep has deleted the paths that it concerns.
 */
export interface InvalidationFunctions {
  isAnyPending(): SQL<unknown>
  /** On a row of path_cache_marks: the invalidation is pending. */
  isPending(): SQL
  /** On a row of path_cache_marks: the invalidation was committed at or before the position. */
  isUpTo(position: Argument<string>): SQL
  /** On a row of path_cache: `through` of its newer pending invalidations, as a JSON list of at most `most`, or NULL. */
  concerning(most: number): SQL<string | null>
  /**
   * The same. Where ids follow the order of the commits, it has those alone that are later than `after`, if that is given. There the
   * newest invalidation, up to which the list goes, stands before the list, also where the list is empty and left out:
   * `17["a",null]`, `17`.
   */
  concerningAfter(after: Argument<number> | undefined, most: number): SQL<string | null>
  /** On a row of path_cache: a newer pending invalidation concerns the row. */
  isConcerned(): SQL
  /** On a row of path_cache: a newer pending invalidation drops all paths. */
  isCleared(): SQL
  /** The current position in the invalidations. Use it in a query that aggregates path_cache_marks. */
  position(): SQL<string>
  /** No invalidation after the position concerns a path with this source, this destination and these nodes. */
  isNoneSince(paths: {
    position: Argument<string>
    source: Argument<string>
    destination: Argument<string>
    nodes: Argument<readonly string[]>
  }): SQL
}

type Value<C extends Column> = Argument<GetColumnData<C, 'raw'>>
/** Drizzle encodes placeholders in `values()` and `set()`, but not beside a column, where a `Date` would then fail. */
const encoded = (column: Column, value: Placeholder): SQL => sql`${new Param(value, column)}`

export const eq = <C extends Column>(column: C, value: Value<C>): SQL =>
  drizzleEq(column as Column, encoded(column, value))
export const gt = <C extends Column>(column: C, value: Value<C>): SQL =>
  drizzleGt(column as Column, encoded(column, value))
export const lt = <C extends Column>(column: C, value: Value<C>): SQL =>
  drizzleLt(column as Column, encoded(column, value))
export const lte = <C extends Column>(column: C, value: Value<C>): SQL =>
  drizzleLte(column as Column, encoded(column, value))
/** The column's value is among those that a query selects. */
export const isIn = (column: Column, query: Built<unknown>): SQL =>
  // Every query of Drizzle's is a SQLWrapper; the shared interface leaves that out.
  sql`${column} IN ${query as SQLWrapper}`
export const and: (...conditions: (SQL | undefined)[]) => SQL | undefined = drizzleAnd
export const not = (condition: SQL): SQL => sql`NOT (${condition})`
/** One row of the values, if the condition holds. */
export const rowIf = <T extends Table>(
  table: T,
  values: { [K in keyof InferSelectModel<T>]: Placeholder },
  condition: SQL,
): SQL => {
  const columns = Object.entries(getTableColumns(table)).map(([name, column]) =>
    encoded(column, (values as Readonly<Record<string, Placeholder>>)[name] as Placeholder),
  )
  return sql`SELECT ${sql.join(columns, sql`, `)} WHERE ${condition}`
}
export const max = (column: Column): SQL<unknown> => sql`max(${column})`
export const ascending = (column: Column): SQL => drizzleAsc(column)
export const descending = (column: Column): SQL => drizzleDesc(column)
export const count = (): SQL<number> => drizzleCount()

/** Whether the column's value is above the argument. The value is not decoded, and may be of any type. */
export const isAbove = <C extends Column>(column: C, value: Value<C>): SQL<unknown> =>
  sql`${column} > ${encoded(column, value)}`

/** The column's raw value, for rows that may break the rules. */
export const undecoded = (column: Column): SQL<unknown> => sql`${column}`

/** The column's value in the row that an upsert proposed. */
export const excluded = (column: Column): SQL => sql`excluded.${sql.identifier(column.name)}`
/** An argument in the column's encoding, for use without a column beside it. */
export const valueFor = <C extends Column>(column: C, value: Value<C>): SQL => encoded(column, value)
export const plus = (column: Column, value: Argument<number>): SQL => sql`${column} + ${encoded(column, value)}`
/** A time as the whole millisecond that a `Date` of it shows: the same arithmetic as the decoder's. */
export const millisecond = (time: Column): SQL => sql`floor(${time} * 1000 + 0.5)`
/** The time one millisecond after a column's. */
export const nextMillisecond = (time: Column): SQL => sql`(${millisecond(time)} + 1) / 1000.0`
/** A parameter that stands beside no column: a list of them needs a type. */
const DOUBLE = { mapToDriverValue: (value: unknown): unknown => value, getSQLType: () => 'double precision' }
export const equalsMillisecond = (time: Column, milliseconds: Argument<number>): SQL =>
  sql`${millisecond(time)} = ${new Param(milliseconds, DOUBLE)}`
