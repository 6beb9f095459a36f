/** The types that follow from the twins of a table. */
import type { InferInsertModel, InferSelectModel } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import type { UpdateOptions } from '../api.ts'

export type Flat<T> = { [K in keyof T]: T[K] } & {}
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type At<T, K> = K extends keyof T ? T[K] : 'no such column'

/** The columns whose types differ between the twins, with both types: the compiler's message shows them. */
type Differing<S extends SQLiteTable, P extends PgTable> = {
  [K in keyof InferSelectModel<S> | keyof InferSelectModel<P> as Equal<
    [At<InferSelectModel<S>, K>, At<InferInsertModel<S>, K>],
    [At<InferSelectModel<P>, K>, At<InferInsertModel<P>, K>]
  > extends true
    ? never
    : K]: { sqlite: At<InferSelectModel<S>, K>; postgres: At<InferSelectModel<P>, K> }
}

/** The twin if it has the same rows; else a type that no table fits, and that says why. */
export type Twin<S extends SQLiteTable, P extends PgTable> = [keyof Differing<S, P>] extends [never]
  ? P
  : { 'The twins have different rows': Differing<S, P> }

export type Row<S extends SQLiteTable> = Flat<InferSelectModel<S>>

/** Columns that the store sets. */
type Times = 'createdAt' | 'updatedAt'
type Given<T> = { [K in keyof T]: T[K] | undefined }
type Nothing = Record<never, never>
type Optionals<T> = { [K in keyof T as Nothing extends Pick<T, K> ? K : never]?: T[K] }
type Requireds<T> = { [K in keyof T as Nothing extends Pick<T, K> ? never : K]: T[K] }

/**
 * As Drizzle infers it, with optional times. `undefined` means absent. `Omit` is outside of `Optionals`: inside, TypeScript 5
 * finds no keys.
 */
export type NewRow<S extends SQLiteTable> = Flat<
  Omit<Requireds<InferInsertModel<S>>, Times> &
    Given<Omit<Optionals<InferInsertModel<S>>, Times>> &
    Given<Partial<Pick<InferSelectModel<S>, Extract<keyof InferSelectModel<S>, Times>>>>
>

export type Patch<S extends SQLiteTable, K> = Flat<Given<Partial<Omit<Row<S>, (K & keyof Row<S>) | Times>>>>

/** Lists and objects are not compared. */
type Comparable<V> = Extract<V, string | number | boolean | Date>
export type Where<S extends SQLiteTable> = Flat<{
  [C in keyof Row<S> as Comparable<Row<S>[C]> extends never ? never : C]?:
    | Comparable<Row<S>[C]>
    | Extract<Row<S>[C], null>
    | readonly Comparable<Row<S>[C]>[]
    | undefined
}>

/** Text columns that are not nullable. */
export type TextColumn<S extends SQLiteTable> = {
  [C in keyof Row<S>]: Row<S>[C] extends string ? C : never
}[keyof Row<S>] &
  string
/** Text columns that may be NULL. */
export type NamingColumn<S extends SQLiteTable> = {
  [C in keyof Row<S>]: Row<S>[C] extends string | null ? C : never
}[keyof Row<S>] &
  string
type OrderColumn<S extends SQLiteTable> = {
  [C in keyof Row<S>]: Row<S>[C] extends string | number | boolean | Date ? C : never
}[keyof Row<S>] &
  string

/** The types of a repository's arguments and results. */
export interface TypesOf<S extends SQLiteTable, K extends string> {
  readonly row: Row<S>
  readonly create: NewRow<S>
  readonly patch: Patch<S, K>
  readonly where: Where<S>
  readonly order: OrderColumn<S>
  readonly options: 'updatedAt' extends keyof Row<S> ? [options?: UpdateOptions] : []
}
