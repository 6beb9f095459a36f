import { Column, getTableName, is, Param, Placeholder, sql } from 'drizzle-orm'
import { misuse, StorageError } from '../errors.ts'
import { UndecodableValue } from '../schema/codecs.ts'
import { decoderOf, nest } from './nested-rows.ts'
import type { Arguments, Built, Functions, Queries, Tables } from './queries.ts'

type Build<P, R> = (db: Queries, tables: Tables, parameters: Arguments<P>, functions: Functions) => Built<R>

/**
 * A query with typed parameters `P` and rows `R`: built once for each dialect, and prepared once on each connection. A
 * prepared read takes 4 µs; building the query on each call takes ten times as long.
 */
export interface Statement<P, R> {
  /** Unique name for tracing. It includes the fields given at run time: `nodes.update:protocols,started`. */
  readonly name: string
  readonly build: Build<P, R>
  readonly kind?: StatementKind | undefined
  /** A statement of the application's: it may name several tables, and its rows are what Drizzle makes of them. */
  readonly isOwn?: boolean | undefined
  /** It is built for one call. */
  readonly isOnce?: boolean | undefined
  /** The check of a parameter's value, if there is one. It throws. */
  readonly checkOf?: ((param: Param | Placeholder) => Check | undefined) | undefined
}

export type Check = (value: unknown, parameter: string) => void

/** A parameter that the statement computes at each run: Drizzle would call `$defaultFn()` once, when the statement is built. */
export class Computed extends Placeholder {
  readonly compute: () => unknown

  constructor(name: string, compute: () => unknown) {
    super(name)
    this.compute = compute
  }
}

/**
 * How many rows a statement concerns. One row: the parameter that is named like the table's key holds it, and the dialect may
 * run many calls of the first three kinds as one statement. `changes many rows`: an UPDATE or DELETE that ends with its filter.
 * Housekeeping changes nothing that a caller can see. `undefined`: any rows of the table.
 */
export type StatementKind = BulkKind | 'names one row' | 'changes many rows' | 'housekeeping'
export type BulkKind = 'inserts one row' | 'changes one row' | 'reads one row'

export const statement =
  <P>() =>
  <R>(name: string, build: Build<P, R>, kind?: Statement<P, R>['kind']): Statement<P, R> => ({ name, build, kind })

/** Statements that differ by a set of fields: one for each set, made when it is first asked for. */
export function statementFor<F extends string, S>(make: (fields: readonly F[]) => S): (fields: readonly F[]) => S {
  const made = new Map<string, S>()
  return (fields) => {
    const key = fields.join()
    let found = made.get(key)
    if (found === undefined) {
      found = make(fields)
      made.set(key, found)
    }
    return found
  }
}

/** The names that have a value, in the order of `names`. They pick the statement of a patch or a filter. */
export const given = <F extends string>(values: { readonly [K in F]?: unknown }, names: readonly F[]): readonly F[] =>
  names.filter((name) => values[name] !== undefined)

/** The chosen members of an object. */
export function pick<T extends object, K extends keyof T>(from: T, names: readonly K[]): Pick<T, K> {
  const picked: Partial<Pick<T, K>> = {}
  for (const name of names) picked[name] = from[name]
  return picked as Pick<T, K>
}

/** A finished query of a dialect's builder. */
export interface BuiltQuery {
  readonly sql: string
  readonly params: readonly unknown[]
  readonly fields: readonly Field[] | undefined
  /** In a query with joins: by table, whether each row has one of its rows. */
  readonly joins?: Readonly<Record<string, boolean>> | undefined
}

/** A selected column or expression, and its place in a row. */
export interface Field {
  readonly path: readonly string[]
  readonly field: unknown
}

/** Many calls of a statement that concerns one row, as one statement whose parameters are lists. */
export interface BulkQuery {
  readonly query: BuiltQuery
  /** The key's name in the rows that come back. */
  readonly key: string
  /** The key's place among the parameters of the single statement. */
  readonly keyAt: number
  /** The key's place in a row as the driver gives it. */
  readonly rowKeyAt: number
}

/** A statement in a dialect's SQL. */
export interface Compiled<P = unknown, R = unknown> {
  readonly name: string
  readonly sql: string
  /** For one call: it is not prepared under a name. */
  readonly isOnce?: boolean | undefined
  /** The tables that a statement of the application's names. `undefined`: the statement is the library's. */
  readonly ownTables?: (() => readonly string[]) | undefined
  /** The parameters in the order of the SQL, encoded for the driver. */
  bind(parameters: P): unknown[]
  /** One row as the driver gives it, an array, to what the caller sees; `undefined` where no rows are returned. */
  readonly decode: ((row: readonly unknown[]) => R) | undefined
}

/** A statement with its encoded values: later changes of the caller's objects do not affect it. */
export interface BoundStatement<R> {
  readonly compiled: Compiled<never, R>
  readonly values: unknown[]
}

export interface Dialect {
  readonly tables: Tables
  readonly functions: Functions
  /** Runs `build` with the dialect's own query builder. */
  render<R>(build: (db: Queries) => Built<R>): BuiltQuery
  /** Renders a bulk query for many rows, if the dialect gains by it. Its rows always have the key. */
  readonly renderBulk?: <R>(build: (db: Queries) => Built<R>, kind: BulkKind) => BulkQuery
  /** The table that a statement concerns, and the name of its key. */
  readonly targetOf?: <R>(build: (db: Queries) => Built<R>) => Target
  readonly tablesOf: <R>(build: (db: Queries) => Built<R>) => readonly string[]
}

/** The target of a statement: a table, or the row whose key the parameter `key` holds. */
export interface Target {
  readonly table: string
  readonly key: string | undefined
  /** More tables, of which it concerns any row. */
  readonly others?: readonly string[]
  readonly looks?: Looks | undefined
}

/**
 * Reads of a table's keys, after which a transaction depends on their rows. `keys` has a list of keys as its only parameter, and
 * returns those that are there.
 */
export interface Looks {
  readonly keys: Compiled<never, string>
  readonly all: Compiled<never, never>
}

/** A bulk statement. Its parameters are lists of the single statement's values, in the same order. */
export interface Bulk<R> extends Omit<BulkQuery, 'query'> {
  readonly kind: BulkKind
  readonly compiled: Compiled<never, R>
  /** The same with rows as the driver gives them. */
  readonly raw: Compiled<never, readonly unknown[]>
}

/** Compiles each statement once. Throws if two statements share a name. */
export class StatementCompiler {
  readonly #dialect: Dialect
  readonly #compiled = new WeakMap<object, Compiled>()
  readonly #bulk = new Map<unknown, Bulk<unknown>>()
  readonly #targets = new WeakMap<object, { readonly target: Target | undefined }>()
  readonly #names = new Map<string, string>()

  constructor(dialect: Dialect) {
    this.#dialect = dialect
  }

  bind<P, R>(statement: Statement<P, R>, parameters: P): BoundStatement<R> {
    const compiled = this.compile(statement)
    return { compiled, values: compiled.bind(parameters) }
  }

  /** `undefined` if the statement does not concern one row, or the dialect has no bulk form. */
  bulk<P, R>(statement: Statement<P, R>): Bulk<R> | undefined {
    const { renderBulk } = this.#dialect
    const { kind, name } = statement
    if (renderBulk === undefined || !isBulkKind(kind)) return undefined
    const known = this.#bulk.get(statement)
    if (known !== undefined) return known as Bulk<R>
    const { query, ...where } = renderBulk<R>((db) => this.#build(statement, db), kind)
    const compiled = compiledQuery<never, R>(`${name}*`, query)
    const bulk: Bulk<R> = { ...where, kind, compiled, raw: { ...compiled, decode: (row) => row } }
    this.#bulk.set(statement, bulk)
    return bulk
  }

  /** The statement's target. `undefined` for housekeeping, and if the dialect has no `targetOf`. */
  target<P, R>(statement: Statement<P, R>): Target | undefined {
    let known = this.#targets.get(statement)
    if (known === undefined) {
      known = { target: this.#targetOf(statement) }
      this.#targets.set(statement, known)
    }
    return known.target
  }

  #targetOf<P, R>(statement: Statement<P, R>): Target | undefined {
    const { kind } = statement
    if (kind === 'housekeeping') return undefined
    const build = (db: Queries): Built<R> => this.#build(statement, db)
    if (statement.isOwn) {
      const [table, ...others] = buildable(statement.name, build, (each) => this.#dialect.tablesOf(each))
      return table === undefined ? undefined : { table, key: undefined, others }
    }
    const found = this.#dialect.targetOf?.(build)
    return found && { ...found, key: isBulkKind(kind) || kind === 'names one row' ? found.key : undefined }
  }

  #build<P, R>(statement: Statement<P, R>, db: Queries): Built<R> {
    return statement.build(db, this.#dialect.tables, placeholders<P>(), this.#dialect.functions)
  }

  compile<P, R>(statement: Statement<P, R>): Compiled<P, R> {
    const known = this.#compiled.get(statement)
    // The map's entry was made from this very statement, so that its types are the statement's.
    if (known !== undefined) return known as Compiled<P, R>
    const render = (build: BuildFor<R>): BuiltQuery => this.#dialect.render<R>(build)
    const build: BuildFor<R> = (db) => this.#build(statement, db)
    const query = statement.isOwn ? buildable(statement.name, build, render) : render(build)
    const text = this.#names.get(statement.name)
    if (text !== undefined && text !== query.sql) {
      throw misuse(`Two different statements have the name ${statement.name}. Give each its own.`)
    }
    if (!statement.isOnce) this.#names.set(statement.name, query.sql)
    const ownTables = statement.isOwn
      ? (): readonly string[] => this.#dialect.tablesOf<R>((db) => this.#build(statement, db))
      : undefined
    const compiled = compiledQuery<P, R>(statement.name, query, { ...statement, ownTables })
    this.#compiled.set(statement, compiled as Compiled)
    return compiled
  }
}

type BuildFor<R> = (db: Queries) => Built<R>

/**
 * A column that is not there is `undefined`, at which Drizzle stumbles. It refuses what it cannot render, such as a column of a table that
 * is not joined. Other errors while the statement is built are the application's own.
 */
function buildable<R, T>(name: string, build: BuildFor<R>, use: (build: BuildFor<R>) => T): T {
  let isBuilt = false
  try {
    return use((db) => {
      const built = build(db)
      isBuilt = true
      return built
    })
  } catch (error) {
    if (error instanceof StorageError || !(error instanceof TypeError || (isBuilt && error instanceof Error)))
      throw error
    throw new StorageError(
      'MISUSE',
      `The statement ${name} is not a query that can be built: ${error.message.replace(/[.?]$/, '')}. Nothing was run. Return a query of the builder, and check the columns that it names.`,
      { cause: error },
    )
  }
}

const isBulkKind = (kind: StatementKind | undefined): kind is BulkKind =>
  kind === 'inserts one row' || kind === 'changes one row' || kind === 'reads one row'

type Checking = Pick<Statement<never, never>, 'checkOf'>

const compiledQuery = <P, R>(
  name: string,
  { sql, params, fields, joins = {} }: BuiltQuery,
  { ownTables, isOnce = false, checkOf }: Pick<Compiled<P, R>, 'ownTables' | 'isOnce'> & Checking = {},
): Compiled<P, R> => ({
  name,
  sql,
  isOnce,
  ownTables,
  bind: binder(name, params, checkOf),
  decode: fields && (ownTables !== undefined ? nestedDecoder<R>(fields, joins) : decoder<R>(fields)),
})

const placeholders = <P>(): Arguments<P> =>
  new Proxy({} as Arguments<P>, { get: (_, name) => sql.placeholder(String(name)) })

interface Slot {
  readonly name: string | undefined
  readonly compute?: (() => unknown) | undefined
  readonly constant?: unknown
  readonly check?: Check | undefined
  readonly encode?: ((value: unknown) => unknown) | undefined
}

function slot(param: unknown, checkOf: Checking['checkOf']): Slot {
  if (is(param, Placeholder)) return { name: String(param.name), check: checkOf?.(param) }
  if (is(param, Param)) {
    const { value, encoder } = param
    const encode = (plain: unknown): unknown => (plain === null ? null : encoder.mapToDriverValue(plain))
    if (!is(value, Placeholder)) return { name: undefined, constant: encode(value) }
    const compute = value instanceof Computed ? value.compute : undefined
    return { name: String(value.name), compute, check: checkOf?.(param), encode }
  }
  return { name: undefined, constant: param }
}

function binder<P>(
  statementName: string,
  params: readonly unknown[],
  checkOf: Checking['checkOf'],
): (parameters: P) => unknown[] {
  const slots = params.map((param) => slot(param, checkOf))
  return (parameters) => {
    const values = parameters as Readonly<Record<string, unknown>>
    const bound: unknown[] = []
    for (const { name, compute, constant, check, encode } of slots) {
      if (name === undefined) {
        bound.push(constant)
        continue
      }
      const value = compute === undefined ? values[name] : compute()
      if (value === undefined)
        throw misuse(`The statement ${statementName} has no value for its parameter ${name}. Give it one.`)
      check?.(value, name)
      if (encode !== undefined) bound.push(encoded(statementName, name, encode, value))
      else if (typeof value === 'boolean' || (typeof value === 'object' && value !== null))
        throw misuse(
          `The statement ${statementName} has its parameter ${name} beside no column, which would say how to store it. Use it beside one: eq(column, parameter).`,
        )
      else bound.push(value)
    }
    return bound
  }
}

/** JavaScript can give a value that no column of this type takes. */
function encoded(statementName: string, name: string, encode: (value: unknown) => unknown, value: unknown): unknown {
  try {
    return encode(value)
  } catch {
    throw misuse(
      `The statement ${statementName} has for its parameter ${name} a value of another type than the column's. Nothing was read or written. Give it one of that type.`,
    )
  }
}

function decoder<R>(fields: NonNullable<BuiltQuery['fields']>): (row: readonly unknown[]) => R {
  const columns = fields.map(({ path, field }) => ({ name: path.join('.'), decode: fieldDecoder(field) }))
  return (row) => {
    const decoded: Record<string, unknown> = {}
    let at = 0
    try {
      for (const { name, decode } of columns) {
        decoded[name] = decode === undefined ? row[at] : decode(row[at])
        at++
      }
    } catch (cause) {
      throw corrupt(cause, fields, row, at)
    }
    return decoded as R
  }
}

/** Rows as Drizzle shapes them: nested by table in a join, where a row that is not there is `null`. */
function nestedDecoder<R>(
  fields: NonNullable<BuiltQuery['fields']>,
  joins: Readonly<Record<string, boolean>>,
): (row: readonly unknown[]) => R {
  const decodes = fields.map(({ field }) => (is(field, Column) ? field : decoderOf(field)))
  return (row) => {
    let at = 0
    const decoded: unknown[] = []
    try {
      for (; at < decodes.length; at++)
        decoded.push(row[at] === null ? null : (decodes[at]?.mapFromDriverValue(row[at]) ?? row[at]))
    } catch (cause) {
      throw corrupt(cause, fields, row, at)
    }
    return nest(fields, decoded, joins) as R
  }
}

function fieldDecoder(field: unknown): ((value: unknown) => unknown) | undefined {
  if (is(field, Column)) {
    if (!field.notNull) return (value) => (value === null ? null : field.mapFromDriverValue(value))
    // Another program may have dropped NOT NULL, and Drizzle's own decoders accept NULL.
    return (value) => {
      if (value === null) throw new UndecodableValue('is NULL')
      return field.mapFromDriverValue(value)
    }
  }
  // `decoder` is the part of SQL that mapWith() and count() set; Drizzle's own row mapping reads it the same way.
  const decoder = decoderOf(field)
  return decoder && ((value) => decoder.mapFromDriverValue(value))
}

function corrupt(
  cause: unknown,
  fields: NonNullable<BuiltQuery['fields']>,
  row: readonly unknown[],
  at: number,
): unknown {
  if (!(cause instanceof UndecodableValue)) return cause
  const column = fields[at]?.field
  if (!is(column, Column)) return cause
  const table = getTableName(column.table)
  const keyAt = fields.findIndex(({ field }) => is(field, Column) && field.primary)
  const key = typeof row[keyAt] === 'string' ? ` of ${JSON.stringify(row[keyAt])}` : ''
  return new StorageError(
    'CORRUPT',
    `A row of ${table} breaks the rules: ${column.name}${key} ${cause.message}. Another program wrote it, and it cannot be read. Correct or delete the row.`,
  )
}
