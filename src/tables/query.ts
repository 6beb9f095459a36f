/**
 * An application's own statements over its tables and the library's, typed by Drizzle's builder for SQLite. At run time the builder is
 * the dialect's own: as long as the twins have the same rows, so have the queries.
 */
import { isPromise } from 'node:util/types'
import { Placeholder } from 'drizzle-orm'
import type { BaseSQLiteDatabase, SQLiteTable } from 'drizzle-orm/sqlite-core'
import type { ChangeStatement, Query, RowsOf } from '../api.ts'
import type { Functions, Tables } from '../database/queries.ts'
import type { Statement } from '../database/statement.ts'
import { misuse, propertyOf } from '../errors.ts'
import type { nodes, pathCache, policies } from '../schema/sqlite.ts'
import { type AnyTables, describedBy } from './described.ts'
import { Parameter } from './parameter.ts'
import { type BuiltQuery, computeDefaults, ValueChecks } from './values.ts'

/** The part of Drizzle's builder that builds: nothing of it runs a query. */
export type Builder = Pick<
  BaseSQLiteDatabase<'async', never, Record<string, never>, Record<string, never>>,
  'select' | 'selectDistinct' | 'with' | '$with' | 'insert' | 'update' | 'delete'
>

export type BuilderTables<T extends AnyTables> = {
  readonly nodes: typeof nodes
  readonly policies: typeof policies
  readonly pathCache: typeof pathCache
} & { readonly [N in keyof T]: T[N] extends { readonly sqlite: infer S extends SQLiteTable } ? S : never }

/** A finished query. One that writes has no mode of selection. */
interface Finished {
  readonly _: { readonly result: unknown }
}
interface Selecting {
  readonly _: { readonly result: unknown; readonly selectMode: unknown }
}

/**
 * Parameters have the types of their values, so that Drizzle's `eq`, `between`, `values()` and `set()` check them. While a statement
 * is built they are placeholders: use them beside a column, and compute nothing with them.
 */
type Parameters<P> = { readonly [K in keyof P]-?: Exclude<P[K], undefined> }

export type Build<T extends AnyTables, P, Q> = (db: Builder, tables: BuilderTables<T>, parameters: Parameters<P>) => Q

/** Makes statements with parameters `P`. Each is built once for a dialect, and prepared once on a connection. */
export interface MakesStatements<T extends AnyTables> {
  /** A statement that reads. `name` is unique in the application; tracing shows it as `app:name`. */
  query<P extends object = Record<never, never>>(): <Q extends Selecting>(
    name: string,
    build: Build<T, P, Q>,
  ) => Query<P, RowsOf<Q>>
  /** A statement that inserts, updates or deletes; its rows are those of `returning()`. */
  change<P extends object = Record<never, never>>(): <Q extends Finished>(
    name: string,
    build: Build<T, P, Q extends Selecting ? never : Q>,
  ) => ChangeStatement<P, RowsOf<Q>>
}

/** The statements behind the values that applications have. */
const statements = new WeakMap<object, { readonly statement: Statement<object, object>; readonly tables: AnyTables }>()

/** Throws MISUSE for a value that `schema()` did not make, and for a statement of another schema. */
export function statementOf(made: object, kind: 'query' | 'change', tables: AnyTables): Statement<object, object> {
  const found = typeof made === 'object' && made !== null ? statements.get(made) : undefined
  if (found === undefined || propertyOf(made, 'kind') !== kind)
    throw misuse(
      `This is not a statement of schema().${kind}(). Use query() for one that reads, and run() for one that writes.`,
    )
  if (found.tables !== tables)
    throw misuse(
      `The statement ${found.statement.name} is of another schema than the store's. Use the schema that openStorage() was given.`,
    )
  return found.statement
}

export function statementsOf<T extends AnyTables>(tables: T): MakesStatements<T> {
  const maker =
    (kind: 'query' | 'change') =>
    (name: string, build: Build<T, object, unknown>): { kind: 'query' | 'change'; name: string } => {
      const made = { kind, name }
      statements.set(made, { statement: ownStatement(`app:${name}`, kind, tables, build), tables })
      return made
    }
  return { query: () => maker('query') as never, change: () => maker('change') as never }
}

/** `build`: the application's, which Drizzle's types have checked. */
export const ownStatement = <T extends AnyTables>(
  name: string,
  kind: 'query' | 'change',
  tables: T,
  build: Build<T, object, unknown>,
): Statement<object, object> => {
  const checks = new ValueChecks(name, kind === 'query' ? 'read' : 'write', tables)
  const builtBy: Statement<object, object>['build'] = (db, ours, _, functions) => {
    const parameters = new Map<string, Parameter>()
    const given = new Proxy(
      {},
      {
        get: (_target, property) => {
          const key = String(property)
          const known = parameters.get(key) ?? new Parameter(key, functions)
          parameters.set(key, known)
          return known
        },
      },
    )
    const twins = twinsOf(name, tables, ours, functions) as BuilderTables<T>
    const built = build(db as unknown as Builder, twins, given as never)
    assertKind(name, kind, built)
    if (isQuery(built)) {
      computeDefaults(built)
      checks.add(built)
    }
    // From here on Drizzle takes them for placeholders.
    for (const parameter of parameters.values()) Object.setPrototypeOf(parameter, Placeholder.prototype)
    return built as ReturnType<typeof builtBy>
  }
  return { name, isOwn: true, build: builtBy, checkOf: (param) => checks.of(param) }
}

/** JavaScript can return what the types refuse. What cannot be built at all is refused later. */
function assertKind(name: string, kind: 'query' | 'change', built: unknown): void {
  if (isPromise(built)) {
    // It runs the query, which fails: nobody else waits for it.
    built.catch(() => undefined)
    throw misuse(
      `The function that builds the statement ${name} is async. Nothing was run. Make it a plain function that returns the query.`,
    )
  }
  if (!isQuery(built)) return
  const writes = 'returning' in built
  if (writes && kind === 'query')
    throw misuse(`The statement ${name} writes. Nothing was run. Make it with schema().change(), and give it to run().`)
  if (!writes && kind === 'change')
    throw misuse(
      `The statement ${name} only reads. Nothing was run. Make it with schema().query(), and give it to query().`,
    )
}

const isQuery = (built: unknown): built is BuiltQuery =>
  typeof built === 'object' && built !== null && 'prepare' in built

const twinsOf = (statement: string, tables: AnyTables, ours: Tables, { twinOf }: Functions): object => {
  const { nodes, policies, pathCache } = ours
  const twins: object = {}
  const add = (name: string, twin: () => object): unknown =>
    Object.defineProperty(twins, name, {
      configurable: true,
      enumerable: true,
      get: () => withoutTypos(statement, `the table ${name}`, twin()),
    })
  for (const [name, table] of Object.entries({ nodes, policies, pathCache })) add(name, () => table)
  for (const [name, table] of Object.entries(tables)) add(name, () => twinOf(describedBy(table)))
  return withoutTypos(statement, 'the schema', twins)
}

/** Drizzle leaves out a condition that is `undefined`: with a typo in its column, a deletion would delete every row. */
const withoutTypos = <T extends object>(statement: string, what: string, named: T): T =>
  new Proxy(named, {
    get: (target, property) => {
      if (typeof property === 'symbol' || property in target) return Reflect.get(target, property)
      throw misuse(
        `The statement ${statement} names ${property}, which ${what} does not have. Nothing was run. Correct the name.`,
      )
    },
  })
