/**
 * The values in an application's own statements keep the rules of their columns, as in the repositories: constants are checked when the
 * statement is built, parameters at each run. Another value would be stored, and the table could not be read any more.
 */
import { isDate } from 'node:util/types'
import {
  Column,
  entityKind,
  getTableColumns,
  is,
  Name,
  Param,
  Placeholder,
  SQL,
  type SQLWrapper,
  StringChunk,
  Subquery,
  Table,
} from 'drizzle-orm'
import { type Check, Computed } from '../database/statement.ts'
import { baseNameOf } from '../database/tables-in.ts'
import { type Access, misuse, validationError } from '../errors.ts'
import { kindOf } from '../schema/kinds.ts'
import * as rules from '../schema/rules.ts'
import { type Column as ColumnRules, tableNamed } from '../schema/tables.ts'
import { type AnyTables, describedBy } from './described.ts'
import { Parameter } from './parameter.ts'

/** A query of Drizzle's, as far as we look into it. */
export interface BuiltQuery extends SQLWrapper {
  readonly config?: {
    readonly table?: unknown
    readonly values?: unknown
    readonly set?: object
    readonly limit?: unknown
    readonly offset?: unknown
  }
}

const insertedRows = ({ config }: BuiltQuery): Record<string, unknown>[] =>
  Array.isArray(config?.values) ? config.values : []

const isGiven = (value: unknown): boolean => value !== undefined && !(is(value, Param) && value.value === undefined)

/** Gives each inserted row a parameter for each `$defaultFn()` of a column that it leaves out. */
export function computeDefaults(built: BuiltQuery): void {
  const table = built.config?.table
  if (!is(table, Table)) return
  const computed = Object.entries(getTableColumns(table)).filter(([, { defaultFn }]) => defaultFn !== undefined)
  for (const row of insertedRows(built))
    for (const [property, column] of computed) {
      if (isGiven(row[property])) continue
      row[property] = new Param(new Computed(property, () => column.defaultFn?.() ?? null), column)
    }
}

/**
 * Drizzle's tree of a query. It is kept for the rendering, so that it is made once. What Drizzle refuses, it refuses again when the query
 * is rendered, and there it is reported.
 */
function treeOf(built: BuiltQuery): SQL | undefined {
  try {
    const tree = built.getSQL()
    Object.defineProperty(built, 'getSQL', { value: () => tree, configurable: true })
    return tree
  } catch {
    return undefined
  }
}

const isCount = rules.isInteger(0, Number.MAX_SAFE_INTEGER)
const isBeforeCount = (chunk: unknown): boolean =>
  is(chunk, StringChunk) && [' limit ', ' offset '].includes(chunk.value.join(''))

/** An object that is neither Drizzle's, nor a parameter, nor bytes. */
const isForeign = (value: object): boolean =>
  !(
    'getSQL' in value ||
    value instanceof Parameter ||
    ArrayBuffer.isView(value) ||
    entityKind in Object(value.constructor)
  )

/** The checks of one statement's values, by Drizzle's objects for them. */
export class ValueChecks {
  readonly #statement: string
  readonly #access: Access
  readonly #tables: AnyTables
  readonly #checks = new WeakMap<object, Check>()

  constructor(statement: string, access: Access, tables: AnyTables) {
    this.#statement = statement
    this.#access = access
    this.#tables = tables
  }

  of(param: Param | Placeholder): Check | undefined {
    return this.#checks.get(param)
  }

  /** Checks the constants of a finished query, and keeps the checks of its parameters. */
  add(built: BuiltQuery): void {
    this.#assertColumns(built)
    // Drizzle drops a constant that is no number, and what is below zero.
    this.#addCount(built.config?.limit)
    this.#addCount(built.config?.offset)
    const inserted = new Set(insertedRows(built).flatMap((row) => Object.values(row)))
    this.#visit(treeOf(built), (param, before) => this.#add(param, inserted.has(param) || is(before, Name)))
  }

  /** Drizzle drops the value of a column that is not there, and a database says of a missing one that the row breaks the rules. */
  #assertColumns(built: BuiltQuery): void {
    const { table, set = {} } = built.config ?? {}
    if (!is(table, Table)) return
    const columns = getTableColumns(table)
    const rows = insertedRows(built)
    for (const name of [...rows, set].flatMap(Object.keys))
      if (!Object.hasOwn(columns, name))
        throw misuse(
          `The statement ${this.#statement} gives a value for ${name}, which the table ${baseNameOf(table)} does not have. Nothing was run. Correct the name.`,
        )
    for (const row of rows)
      for (const [property, { name, notNull, hasDefault }] of Object.entries(columns))
        if (notNull && !hasDefault && !isGiven(row[property]))
          throw misuse(
            `The statement ${this.#statement} leaves out ${baseNameOf(table)}.${name}, which has no default. Nothing was run. Give it a value.`,
          )
  }

  /** `before` is what stands before the value's operator. Only an assignment has the bare name of a column there. */
  #visit(chunk: unknown, use: (param: Param, before: unknown) => void, before?: unknown): void {
    if (['boolean', 'function', 'symbol'].includes(typeof chunk)) throw this.#beside(chunk)
    if (typeof chunk !== 'object' || chunk === null) return
    if (is(chunk, StringChunk) || is(chunk, Column) || is(chunk, Table)) return
    if (is(chunk, Param)) use(chunk, before)
    else if (Array.isArray(chunk))
      for (const [at, each] of chunk.entries()) {
        if (isBeforeCount(chunk[at - 1])) this.#addCount(each)
        this.#visit(each, use, chunk[at - 2])
      }
    else if (is(chunk, SQL)) this.#visit(chunk.queryChunks, use)
    else if (is(chunk, Subquery)) this.#visit(chunk._.sql, use)
    else if (is(chunk, SQL.Aliased)) this.#visit(chunk.sql, use)
    else if ('getSQL' in chunk && 'config' in chunk) this.#visit((chunk as SQLWrapper).getSQL(), use)
    else if (isForeign(chunk)) throw this.#beside(chunk)
  }

  #beside(value: unknown): Error {
    const what = isDate(value) ? 'a Date' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
    return misuse(
      `The statement ${this.#statement} has ${what} in sql beside no column, which would say how to store it. Nothing was run. Write sql.param(value, column).`,
    )
  }

  #add(param: Param, isAssigned: boolean): void {
    const { listOf } = param.encoder as { readonly listOf?: unknown }
    const column = listOf ?? param.encoder
    if (!is(column, Column)) return
    const { value } = param
    const name = `${baseNameOf(column.table)}.${column.name}`
    if (value === undefined)
      throw misuse(
        `The statement ${this.#statement} has undefined beside ${name}. Nothing was run. Give it a value, or leave the condition out.`,
      )
    const described = this.#describedOf(column)
    if (described === undefined) return
    const rule = isAssigned ? described.rule : comparedRule(described, listOf !== undefined)
    this.#keep(param, value, this.#check(name, rule))
  }

  /** SQLite would say of another value that it is unavailable. */
  #addCount(value: unknown): void {
    if (value !== undefined && !is(value, SQL)) this.#keep(value, value, this.#check('limit or offset', isCount))
  }

  #check(what: string, rule: rules.Rule): Check {
    return (value, parameter) => {
      const problem = rule(value)
      if (problem === undefined) return
      const issues = typeof problem === 'string' ? [{ path: '', message: problem }] : problem
      throw validationError(
        `The value for ${what} in the statement ${this.#statement}`,
        issues.map((issue) => rules.within(parameter, issue)),
        this.#access,
      )
    }
  }

  #keep(param: unknown, value: unknown, check: Check): void {
    if (value instanceof Parameter || is(value, Placeholder)) this.#checks.set(param as object, check)
    else check(value, '')
  }

  #describedOf({ table, name }: Column): ColumnRules | undefined {
    const tableName = baseNameOf(table)
    const own = Object.values(this.#tables)
      .map(describedBy)
      .find((each) => each.name === tableName)
    return (own ?? tableNamed(tableName))?.columns.find((column) => column.name === name)
  }
}

/** A value that is compared need not keep the application's own rules. NULL equals nothing. */
function comparedRule(column: ColumnRules, isList: boolean): rules.Rule {
  const { rule } = kindOf(column)
  if (!isList) return (value) => (value === null ? undefined : rule(value))
  return (values) => {
    if (!Array.isArray(values)) return 'must be a list'
    for (const [index, value] of values.entries()) {
      const problem = rule(value)
      if (typeof problem === 'string') return [{ path: `[${index}]`, message: problem }]
      if (problem !== undefined) return problem
    }
    return undefined
  }
}
