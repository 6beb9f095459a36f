/** `table()` and `schema()`: an application's own tables, each described once by its twins. */
import { isDeepStrictEqual } from 'node:util'
import { Column as DrizzleColumn, Table as DrizzleTable, getTableColumns, getTableName, is, SQL } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { getTableConfig, SQLiteTable } from 'drizzle-orm/sqlite-core'
import type { OwnSchema, OwnTable } from '../api.ts'
import { StorageError } from '../errors.ts'
import { jsonProblems } from '../schema/bundle-rules.ts'
import { defaultIn } from '../schema/defaults.ts'
import { columnNameProblem, tableNameProblem } from '../schema/described.ts'
import { KINDS, type KindName } from '../schema/kinds.ts'
import * as rules from '../schema/rules.ts'
import { OUR_TABLES, tableOf } from '../schema/tables.ts'
import { type AnyTables, type Described, describe, describedBy } from './described.ts'
import { kindIn, postgresProblem } from './kinds.ts'
import { type Builder, type BuilderTables, type MakesStatements, statementsOf } from './query.ts'
import type { NamingColumn, TextColumn, Twin, TypesOf } from './types.ts'

export interface TableOptions<S extends SQLiteTable, P extends PgTable, K extends TextColumn<S>> {
  /** The table on SQLite. */
  readonly sqlite: S
  /** The table on PostgreSQL. You can leave it out until you open a `postgres://` URL. */
  readonly postgres?: P & Twin<S, P>
  /** The primary key: a text column. */
  readonly key: K
  /**
   * Rules for values of a column, beside those of its type: what is wrong with the value, like `must be positive`. They hold for the
   * repository, and for what the application's own statements insert or set.
   */
  readonly rules?: {
    readonly [C in string & keyof S['$inferSelect']]?: (value: S['$inferSelect'][C]) => string | undefined
  }
  /**
   * A changed row drops the cached paths through the nodes that these columns name, in the same transaction, whichever program changes
   * it. A change of `columns` counts: by default of every column but `createdAt` and `updatedAt`.
   */
  readonly invalidates?: {
    readonly through: readonly NamingColumn<S>[]
    readonly columns?: readonly (string & keyof S['$inferSelect'])[]
  }
}

export interface DefinedTable<S extends SQLiteTable, K extends string> extends OwnTable<TypesOf<S, K>> {
  readonly sqlite: S
}

export interface SchemaOf<T extends AnyTables> {
  readonly tables: { readonly [N in keyof T]: T[N] extends OwnTable<infer Types> ? Types : never }
  readonly builder: Builder
  readonly twins: BuilderTables<T>
}

/** The tables, and their statements. */
export interface Schema<T extends AnyTables> extends OwnSchema<SchemaOf<T>>, MakesStatements<T> {
  readonly tables: T
}

/**
 * Describes a table by its twins, which Drizzle's builders make for each dialect.
 *
 * @throws {StorageError} CONFIG for what the compiler cannot see: another name in a twin, a type that does not travel between the
 * dialects, a reserved name
 */
export function table<const S extends SQLiteTable, const P extends PgTable, const K extends TextColumn<S>>(
  options: TableOptions<S, P, K>,
): DefinedTable<S, K> {
  const described = description(options as unknown as TableOptions<SQLiteTable, PgTable, never>)
  const made = { name: described.name, sqlite: options.sqlite }
  describe(made, described)
  return made
}

const config = (table: string, what: string): StorageError => new StorageError('CONFIG', `The table ${table}: ${what}.`)

function description(options: TableOptions<SQLiteTable, PgTable, never>): Described {
  checkOptions(options)
  const { sqlite, postgres, key, rules: own = {}, invalidates } = options
  const name = getTableName(sqlite)
  const problem = tableNameProblem(name)
  if (problem !== undefined) throw config(name, `its name ${problem}`)
  if (name !== name.toLowerCase()) throw config(name, 'its name must be in lower case')
  const columns = getTableColumns<SQLiteTable>(sqlite)
  if (postgres !== undefined) compareNames(name, columns, postgres)
  const described = Object.fromEntries(
    Object.entries(columns).map(([property, column]) => [
      property,
      columnOf(name, column, postgres && getTableColumns<PgTable>(postgres as PgTable)[property], {
        isKey: property === key,
        isStores: property === 'createdAt' || property === 'updatedAt',
        rule: (own as Readonly<Record<string, rules.SimpleRule>>)[property],
      }),
    ]),
  )
  const keyColumn = described[key]
  if (keyColumn?.kind !== 'text') throw config(name, `its key ${key} must be a text column`)
  if (columns[key]?.primary !== true) throw config(name, `its key ${keyColumn.name} must be the primary key, alone`)
  for (const time of ['createdAt', 'updatedAt'])
    if (described[time] !== undefined && (described[time].kind !== 'time' || described[time].nullable))
      throw config(name, `${time} must be a time() that is not NULL, which the store sets`)
  for (const property of [...(invalidates?.through ?? []), ...(invalidates?.columns ?? []), ...Object.keys(own)])
    if (described[property] === undefined) throw config(name, `${property} is not a column`)
  const { indexes, foreignKeys, uniqueConstraints } = getTableConfig(sqlite)
  const indexed = [
    // A partial index does not have every row.
    ...indexes.filter(({ config }) => config.where === undefined).map(({ config }) => config.columns),
    ...uniqueConstraints.map((constraint) => constraint.columns),
    ...Object.values(columns).flatMap((column) => (column.isUnique ? [[column]] : [])),
  ].map((of) => propertiesOf(of, columns))
  const isOrdered = ([property, column]: [string, { nullable: boolean }]): boolean =>
    !column.nullable && indexed.some(([first]) => first === property)
  const described_ = tableOf(name, {
    name,
    key,
    columns: described,
    ...(invalidates !== undefined && {
      invalidates: {
        paths: 'through',
        through: invalidates.through,
        columns: [...new Set([...invalidates.through, ...(invalidates.columns ?? withoutTimes(described))])],
      },
    }),
  })
  return {
    ...described_,
    sqlite,
    postgres: postgres as PgTable | undefined,
    defaults: Object.entries(columns).flatMap(([property, column]) => defaultOf(property, column)),
    ordered: new Set([
      key,
      ...Object.entries(described)
        .filter(isOrdered)
        .map(([property]) => property),
    ]),
    indexes: indexed,
    parents: foreignKeys.map((foreignKey) => getTableName(foreignKey.reference().foreignTable)),
  }
}

const OPTIONS = ['sqlite', 'postgres', 'key', 'rules', 'invalidates']
const INVALIDATES = ['through', 'columns']

function checkObject<T extends object>(table: string, what: string, value: T): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw config(table, `${what} must be an object`)
  return value
}

function checkNames(table: string, what: string, value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).find((name) => !known.includes(name))
  if (unknown !== undefined) throw config(table, `${what}${unknown} is not known. Use ${known.join(', ')}`)
}

/** The compiler does not see what JavaScript gives. Throws CONFIG. */
function checkOptions(options: TableOptions<SQLiteTable, PgTable, never>): void {
  const { sqlite, rules: own = {}, invalidates } = checkObject('', 'its description', options)
  if (!is(sqlite, SQLiteTable)) throw config('', 'sqlite must be a table of sqliteTable()')
  const name = getTableName(sqlite)
  checkNames(name, 'the option ', options, OPTIONS)
  for (const [property, rule] of Object.entries(checkObject(name, 'rules', own)))
    if (typeof rule !== 'function') throw config(name, `the rule of ${property} must be a function`)
  if (invalidates === undefined) return
  checkNames(name, 'the option invalidates.', checkObject(name, 'invalidates', invalidates), INVALIDATES)
  const { through, columns = [] } = invalidates
  for (const [option, names] of Object.entries({ through, columns }))
    if (!Array.isArray(names)) throw config(name, `invalidates.${option} must be a list of columns`)
}

/** The properties of an index's columns, up to the first expression. */
function propertiesOf(of: readonly unknown[], columns: Readonly<Record<string, DrizzleColumn>>): string[] {
  const names = of.map((part) => (is(part, DrizzleColumn) ? part.name : undefined))
  const end = names.indexOf(undefined)
  const properties = Object.keys(columns)
  return names
    .slice(0, end === -1 ? names.length : end)
    .flatMap((name) => properties.find((property) => columns[property]?.name === name) ?? [])
}

const withoutTimes = (columns: object): string[] =>
  Object.keys(columns).filter((property) => property !== 'createdAt' && property !== 'updatedAt')

function compareNames(name: string, here: Readonly<Record<string, DrizzleColumn>>, postgres: unknown): void {
  if (!is(postgres, DrizzleTable) || is(postgres, SQLiteTable))
    throw config(name, 'postgres must be a table of pgTable()')
  if (getTableName(postgres) !== name) throw config(name, `its twin on PostgreSQL is called ${getTableName(postgres)}`)
  const there: Readonly<Record<string, DrizzleColumn>> = getTableColumns(postgres)
  for (const property of new Set([...Object.keys(here), ...Object.keys(there)])) {
    const [a, b] = [here[property], there[property]]
    if (a === undefined || b === undefined || a.name !== b.name)
      throw config(name, `${property} is not the same column in both twins`)
    if (a.notNull !== b.notNull || a.primary !== b.primary || !haveSameDefault(a, b))
      throw config(name, `${a.name} differs between the twins in NOT NULL, PRIMARY KEY or its default`)
  }
}

const haveSameDefault = (a: DrizzleColumn, b: DrizzleColumn): boolean =>
  a.hasDefault === b.hasDefault &&
  // Two functions cannot be compared.
  (a.defaultFn === undefined) === (b.defaultFn === undefined) &&
  isDeepStrictEqual(defaultIn(a), defaultIn(b))

interface Place {
  readonly isKey: boolean
  readonly isStores: boolean
  readonly rule: rules.SimpleRule | undefined
}

function columnOf(
  table: string,
  here: DrizzleColumn,
  there: DrizzleColumn | undefined,
  { isKey, isStores, rule }: Place,
) {
  const problem = columnNameProblem(here.name)
  if (problem !== undefined || here.name.includes('$'))
    throw config(table, `the column ${here.name} ${problem ?? 'must not have $ in its name'}`)
  const kind = kindIn(here)
  if (kind === undefined)
    throw config(
      table,
      `${here.name} is ${here.getSQLType()} with values that do not travel between the dialects; use a column type of meshstore/tables/sqlite`,
    )
  const twinProblem = there && postgresProblem(kind, there)
  if (twinProblem !== undefined) throw config(table, `on PostgreSQL ${here.name} ${twinProblem}`)
  // drizzle-orm would call it in an update on one database, and fail on the other.
  if (here.onUpdateFn !== undefined || there?.onUpdateFn !== undefined)
    throw config(table, `${here.name} has $onUpdate(); give the value to update(), or name a time column updatedAt`)
  const defaultValue = defaultIn(here)
  // `create` returns the row without asking the database for it.
  if (is(defaultValue, SQL)) throw config(table, `${here.name} has a default in SQL; give a value, or $defaultFn()`)
  const filledIn = isStores ? 'by store' : here.hasDefault || !here.notNull ? 'by default' : undefined
  const nullable = !here.notNull
  const base = isKey ? rules.isId : kind === 'json' ? jsonProblems : kind === 'text' ? rules.isLongText : undefined
  if (defaultValue !== undefined && (base ?? KINDS[kind].rule)(defaultValue) !== undefined)
    throw config(table, `${here.name} has a default that no row may have; correct it`)
  const chosen = rule === undefined ? base : ruleBeside(kind, base, rule)
  return { name: here.name, kind, nullable, filledIn, ...(chosen !== undefined && { rule: chosen }) } as const
}

/** The application's own rule comes after the kind's. */
const ruleBeside =
  (kind: KindName, base: rules.Rule = KINDS[kind].rule, rule: rules.SimpleRule): rules.Rule =>
  (value) =>
    base(value) ?? rule(value)

function defaultOf(property: string, column: DrizzleColumn): [string, () => unknown][] {
  if (property === 'createdAt' || property === 'updatedAt') return []
  const { defaultFn, hasDefault, notNull } = column
  const value = defaultIn(column)
  if (!hasDefault) return notNull ? [] : [[property, () => null]]
  // The caller may change the row that `create` returns.
  const copy = typeof value === 'object' ? () => structuredClone(value) : () => value ?? null
  return [[property, () => defaultFn?.() ?? copy()]]
}

/**
 * Puts an application's tables together, for `openStorage({ tables })` and for statements of its own.
 *
 * @throws {StorageError} CONFIG (two tables with one name, foreign keys in a circle)
 */
export function schema<const T extends AnyTables>(tables: T): Schema<T> {
  const all = Object.values(tables).map(describedBy)
  for (const [index, { name }] of all.entries())
    if (all.findIndex((each) => each.name === name) !== index) throw config(name, 'is described twice')
  assertParentsFirst(all)
  return { tables, ...statementsOf<T>(tables) }
}

/** A copy writes parents first: there is no such order in a circle. */
function assertParentsFirst(all: readonly Described[]): void {
  const done = new Set<string>(OUR_TABLES)
  for (const { name, parents } of all) {
    const unknown = parents.find((parent) => !done.has(parent) && !all.some((each) => each.name === parent))
    if (unknown !== undefined) throw config(name, `a foreign key names ${unknown}, which is not in the schema`)
  }
  for (let left = all; left.length > 0; ) {
    const ready = left.filter(({ parents }) => parents.every((parent) => done.has(parent)))
    if (ready.length === 0)
      throw config(
        circleIn(left).join(', '),
        'foreign keys in a circle, or to the table itself, cannot be copied. Leave one of these references out, and check in the application that the row is there',
      )
    for (const { name } of ready) done.add(name)
    left = left.filter(({ name }) => !done.has(name))
  }
}

/** Finds the tables of one circle, given tables that each refer to another one of them. */
function circleIn(left: readonly Described[]): string[] {
  const path: Described[] = []
  let table = left[0]
  while (table !== undefined && !path.includes(table)) {
    const { parents } = table
    path.push(table)
    table = left.find(({ name }) => parents.includes(name))
  }
  return path.slice(table === undefined ? 0 : path.indexOf(table)).map(({ name }) => name)
}
