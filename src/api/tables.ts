/** An application's own tables: their repositories and its own statements. These types name none of Drizzle's. */
import type { Saved } from './repositories.ts'

/** The types that `table()` infers from a table's definition. */
export interface TableTypes {
  /** A stored row. */
  readonly row: object
  /** Argument of `create` and `save`. */
  readonly create: object
  /** Argument of `update`: every column but the key, `createdAt` and `updatedAt`. */
  readonly patch: object
  /** Columns with the values that they must have; a list means any of them. */
  readonly where: object
  /** Columns that a list can be ordered by. */
  readonly order: string
  /** `[UpdateOptions?]` if the table has the column `updatedAt`, else `[]`. */
  readonly options: readonly unknown[]
}

declare const types: unique symbol

/** A table as `table()` of `meshstore/tables` describes it. */
export interface OwnTable<T extends TableTypes = TableTypes> {
  /** Its name in the database. */
  readonly name: string
  readonly [types]?: T
}

export interface SchemaTypes {
  readonly tables: Readonly<Record<string, TableTypes>>
  /** The query builder, and the tables that it takes. */
  readonly builder: unknown
  readonly twins: unknown
}

/** The schema of a store without own tables. */
export interface NoTables extends SchemaTypes {
  // biome-ignore lint/complexity/noBannedTypes: no property at all
  readonly tables: {}
}

/** An application's tables, as `schema()` of `meshstore/tables` puts them together. */
export interface OwnSchema<S extends SchemaTypes = SchemaTypes> {
  readonly tables: Readonly<Record<string, OwnTable>>
  readonly [types]?: S
}

/** Which rows a list has, and in which order. */
export interface Selection<T extends TableTypes> {
  /** Only rows with these values. */
  readonly where?: T['where'] | undefined
  /** Only keys that begin with this text. */
  readonly prefix?: string | undefined
  /**
   * Order by this column, then by the key. Default: the key. The column needs an index, and must not be nullable. With an index of the
   * column and the key, no page sorts rows.
   */
  readonly orderBy?: T['order'] | undefined
  /** Default: `false`. */
  readonly descending?: boolean | undefined
}

export interface TablePage<T extends TableTypes> extends Selection<T> {
  /** Maximum number of rows: 100 by default, 10,000 at most. */
  readonly limit?: number | undefined
  /** Keyset pagination: the last row of the previous page, or without `orderBy` its key. */
  readonly after?: string | T['row'] | undefined
}

/**
 * The rows of one own table, by its key: 1–255 characters, in the order of their UTF-8 bytes.
 *
 * Every method rejects with VALIDATION for an argument that breaks the rules, with CORRUPT for a stored row that breaks them, and with
 * the codes that `Repositories` lists. A write that a constraint of the table refuses rejects with CONFLICT (a foreign key, a CHECK or
 * NOT NULL) or ALREADY_EXISTS (a unique index).
 */
export interface TableRepository<T extends TableTypes> {
  /**
   * Adds a row. `createdAt` is kept if given; `updatedAt` is now.
   *
   * @throws {StorageError} VALIDATION, ALREADY_EXISTS
   */
  create(row: T['create']): Promise<T['row']>
  /**
   * Adds all rows or none, in one transaction of any size.
   *
   * @throws {StorageError} VALIDATION, ALREADY_EXISTS
   */
  createMany(rows: readonly T['create'][]): Promise<T['row'][]>
  /**
   * Returns the row, or `undefined` if there is none.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  get(key: string): Promise<T['row'] | undefined>
  /**
   * Returns the rows that exist, in the order of `keys`. At most 10,000 keys.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  getMany(keys: readonly string[]): Promise<T['row'][]>
  /**
   * Returns one page of rows.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  list(options?: TablePage<T>): Promise<T['row'][]>
  /**
   * Iterates over all rows that match, in constant memory. Each key comes at most once, unless a write moves a row in the order.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  iterate(options?: Selection<T>): AsyncIterable<T['row']>
  /**
   * Changes the columns given, and advances `updatedAt`.
   *
   * @throws {StorageError} VALIDATION, NOT_FOUND, CONFLICT (`ifUpdatedAt`), CORRUPT
   */
  update(key: string, patch: T['patch'], ...options: T['options']): Promise<T['row']>
  /**
   * Changes the columns given in all rows that match, in one statement, and advances `updatedAt`. Returns the number of rows. An empty
   * filter is refused.
   *
   * @throws {StorageError} VALIDATION
   */
  updateMany(where: T['where'], patch: T['patch']): Promise<number>
  /**
   * Upsert that says whether it added the row.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  save(row: T['create'], options: { readonly outcome: true }): Promise<Saved<T['row']>>
  /**
   * Upsert: adds the row, or replaces the columns given. `createdAt` is kept; times that are given are ignored.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  save(row: T['create']): Promise<T['row']>
  /**
   * Saves all rows or none, in order, in one transaction.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  saveMany(rows: readonly T['create'][]): Promise<T['row'][]>
  /**
   * Deletes a row. Returns whether there was one.
   *
   * @throws {StorageError} VALIDATION, CONFLICT (`ifUpdatedAt`)
   */
  delete(key: string, ...options: T['options']): Promise<boolean>
  /**
   * Deletes all rows that match, in one statement. Returns the number of rows. An empty filter is refused.
   *
   * @throws {StorageError} VALIDATION
   */
  deleteMany(where: T['where']): Promise<number>
  /**
   * Counts the rows that match.
   *
   * @throws {StorageError} VALIDATION
   */
  count(where?: T['where']): Promise<number>
}

export type TableRepositories<S extends SchemaTypes> = {
  readonly [N in keyof S['tables']]: TableRepository<S['tables'][N]>
}

declare const reads: unique symbol
declare const writes: unique symbol

/** A statement that reads, with parameters `P` and rows `R`. `schema().query()` makes it. */
export interface Query<P, R> {
  readonly kind: 'query'
  readonly name: string
  readonly [reads]?: (parameters: P) => R
}

/** A statement that writes, with parameters `P`; `R` are the rows of `returning()`. `schema().change()` makes it. */
export interface ChangeStatement<P, R> {
  readonly kind: 'change'
  readonly name: string
  readonly [writes]?: (parameters: P) => R
}

/** The parameters of a statement, which may be left out if there are none. */
export type ParametersOf<P> = Record<never, never> extends P ? [parameters?: P] : [parameters: P]

/** A finished query of the builder: its rows follow from its type. */
interface BuiltRows {
  readonly _: { readonly result: unknown; readonly selectMode: unknown }
}
export type RowsOf<Q> = Q extends { readonly _: { readonly result: infer R } }
  ? R extends readonly (infer T)[]
    ? T
    : never
  : never

/** The application's own statements on a store, or in a transaction. Each is one statement, and SERIALIZABLE like all others. */
export interface Statements<S extends SchemaTypes> {
  /**
   * Runs a statement that reads, and returns its rows.
   *
   * @throws {StorageError} VALIDATION, CORRUPT, CONFIG (a table without a twin for this database), MISUSE (a parameter is missing)
   */
  query<P, R>(query: Query<P, R>, ...parameters: ParametersOf<P>): Promise<R[]>
  /**
   * Builds a query and runs it. A query that runs often is faster with a name: `schema().query()` builds it once.
   *
   * @example
   * const up = await store.query((db, { links }) => db.select().from(links).where(eq(links.isUp, true)))
   *
   * @throws {StorageError} VALIDATION, CORRUPT, CONFIG, MISUSE (a mistake in the query)
   */
  query<Q extends BuiltRows>(build: (db: S['builder'], tables: S['twins']) => Q): Promise<RowsOf<Q>[]>
  /**
   * Runs a statement that writes: `rows` are those of `returning()`, `changes` is the number of rows written. On a store it is a
   * transaction of its own, and waits for earlier writes to the same table.
   *
   * It does not set `createdAt` and `updatedAt`. Let the statement move `updatedAt` by a millisecond or more: `ifUpdatedAt` compares
   * nothing else.
   *
   * @throws {StorageError} VALIDATION, CONFLICT, ALREADY_EXISTS, CORRUPT, CONFIG, MISUSE
   */
  run<P, R>(
    change: ChangeStatement<P, R>,
    ...parameters: ParametersOf<P>
  ): Promise<{ readonly rows: R[]; readonly changes: number }>
}
