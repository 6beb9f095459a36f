/** The statements of the repository of an own table. Each is made when it is first needed. */
import { type Column, getTableColumns, type SQL, sql, type Table } from 'drizzle-orm'
import {
  type Argument,
  and,
  ascending,
  type Built,
  count,
  descending,
  eq,
  equalsMillisecond,
  excluded,
  type Functions,
  gt,
  nextMillisecond,
  type Queries,
  valueFor,
} from '../database/queries.ts'
import { type Statement, type StatementKind, statement, statementFor } from '../database/statement.ts'
import type { Described } from './described.ts'

export type Values = Readonly<Record<string, unknown>>
type AnyArgument = Argument<unknown>
type Arguments = Readonly<Record<string, AnyArgument>>
type Columns = Readonly<Record<string, Column>>

/** Names of parameters beside those that are called like columns. */
export const IF_MILLISECOND = '$ifMillisecond'
export const NOW = '$now'
export const KEYS = '$keys'
export const LIMIT = '$limit'
const AFTER = '$after'
const PREFIX = '$prefix'
const PREFIX_END = '$prefixEnd'
export const POSITION = { after: AFTER, prefix: PREFIX, prefixEnd: PREFIX_END } as const

/** A condition of a filter is the name of its parameter: the column's property, with one of these behind it. */
const LIST = '[]'
const NULL = '=null'
export const isNull = (property: string): string => `${property}${NULL}`
export const isOneOf = (property: string): string => `${property}${LIST}`
/** The values of the columns that an update sets, beside those of its filter. */
export const newValue = (property: string): string => `=${property}`

export interface TableStatements {
  readonly byKey: Statement<Values, Values>
  readonly byKeys: Statement<Values, Values>
  readonly keyExists: Statement<Values, Values>
  readonly insert: Statement<Values, never>
  readonly upsert: (replaced: readonly string[]) => Statement<Values, Values>
  readonly update: (changed: readonly string[]) => Statement<Values, Values>
  readonly remove: (conditions: readonly string[]) => Statement<Values, never>
  /** `names`: conditions, then the columns that are set as `newValue()`. */
  readonly updateWhere: (names: readonly string[]) => Statement<Values, never>
  readonly removeWhere: (conditions: readonly string[]) => Statement<Values, never>
  readonly list: (order: string, isDescending: boolean, conditions: readonly string[]) => Statement<Values, Values>
  readonly count: (conditions: readonly string[]) => Statement<Values, { count: number }>
}

export function statementsOf(described: Described): TableStatements {
  const { name } = described
  const key = described.key.property
  const properties = described.columns.map(({ property }) => property)

  type Make = (query: { db: Queries; table: Table; columns: Columns; p: Arguments; fn: Functions }) => unknown
  /** `what` names the statement, with the columns that its SQL depends on. */
  const made = <R>(what: string, make: Make, kind?: StatementKind): Statement<Values, R> =>
    statement<Values>()<R>(
      `${name}.${what}`,
      (db, _, p, fn) => {
        const table = fn.twinOf(described)
        return make({ db, table, columns: getTableColumns(table), p: p as Arguments, fn }) as Built<R>
      },
      kind,
    )
  const all = (p: Arguments): Values => Object.fromEntries(properties.map((property) => [property, p[property]]))
  const isKey = (columns: Columns, p: Arguments): SQL => eq(columns[key] as Column, p[key] as AnyArgument)
  const touched = (fn: Functions, { updatedAt }: Columns, now: SQL): Values =>
    updatedAt === undefined ? {} : { updatedAt: fn.greatest(now, nextMillisecond(updatedAt)) }
  const asOf = ({ updatedAt }: Columns, p: Arguments): SQL | undefined =>
    updatedAt && valueFor(updatedAt, p[NOW] as AnyArgument)

  const matching = (names: readonly string[], columns: Columns, p: Arguments, fn: Functions): SQL | undefined =>
    and(
      ...names.map((name) => {
        const parameter = p[name] as AnyArgument
        const keyColumn = columns[key] as Column
        if (name === AFTER) return gt(keyColumn, parameter)
        if (name === PREFIX) return sql`${keyColumn} >= ${valueFor(keyColumn, parameter)}`
        if (name === PREFIX_END) return sql`${keyColumn} < ${valueFor(keyColumn, parameter)}`
        if (name.endsWith(NULL)) return sql`${columns[name.slice(0, -NULL.length)] as Column} IS NULL`
        if (name.endsWith(LIST)) return fn.isOneOf(columns[name.slice(0, -LIST.length)] as Column, parameter)
        return eq(columns[name] as Column, parameter)
      }),
    )

  return {
    byKey: made(
      'get',
      ({ db, table, columns, p }) => db.select().from(table).where(isKey(columns, p)),
      'reads one row',
    ),
    byKeys: made('getMany', ({ db, table, columns, p, fn }) =>
      db
        .select()
        .from(table)
        .where(fn.isOneOf(columns[key] as Column, p[KEYS] as AnyArgument)),
    ),
    keyExists: made(
      'exists',
      ({ db, table, columns, p }) =>
        db
          .select({ [key]: columns[key] as Column })
          .from(table)
          .where(isKey(columns, p)),
      'reads one row',
    ),
    // An existing key changes no row. A unique violation would end a transaction on PostgreSQL.
    insert: made(
      'create',
      ({ db, table, p, columns }) =>
        db
          .insert(table)
          .values(all(p) as never)
          .onConflictDoNothing({ target: columns[key] as Column }),
      'inserts one row',
    ),
    upsert: statementFor((replaced) =>
      made(
        `save:${replaced.join()}`,
        ({ db, table, columns, p, fn }) => {
          const set: Record<string, unknown> = {}
          for (const property of replaced) set[property] = excluded(columns[property] as Column)
          if (columns.updatedAt !== undefined) Object.assign(set, touched(fn, columns, excluded(columns.updatedAt)))
          const insert = db.insert(table).values(all(p) as never)
          return insert.onConflictDoUpdate({ target: columns[key] as Column, set: set as never }).returning()
        },
        'inserts one row',
      ),
    ),
    update: statementFor((changed) =>
      made(
        `update:${changed.join()}`,
        ({ db, table, columns, p, fn }) => {
          const set: Record<string, unknown> = {}
          for (const property of changed) if (property !== IF_MILLISECOND) set[property] = p[property]
          const now = asOf(columns, p)
          if (now !== undefined) Object.assign(set, touched(fn, columns, now))
          const expected = changed.includes(IF_MILLISECOND)
            ? equalsMillisecond(columns.updatedAt as Column, p[IF_MILLISECOND] as Argument<number>)
            : undefined
          return db
            .update(table)
            .set(set as never)
            .where(and(isKey(columns, p), expected))
            .returning()
        },
        'changes one row',
      ),
    ),
    remove: statementFor((conditions) =>
      made(
        `delete:${conditions.join()}`,
        ({ db, table, columns, p }) => {
          const expected = conditions.includes(IF_MILLISECOND)
            ? equalsMillisecond(columns.updatedAt as Column, p[IF_MILLISECOND] as Argument<number>)
            : undefined
          return db.delete(table).where(and(isKey(columns, p), expected))
        },
        'changes one row',
      ),
    ),
    updateWhere: statementFor((names) =>
      made(`updateMany:${names.join()}`, ({ db, table, columns, p, fn }) => {
        const changed = names.filter((each) => each.startsWith('='))
        const set: Record<string, unknown> = {}
        for (const each of changed) set[each.slice(1)] = p[each]
        const now = asOf(columns, p)
        if (now !== undefined) Object.assign(set, touched(fn, columns, now))
        const conditions = names.filter((each) => !changed.includes(each))
        return db
          .update(table)
          .set(set as never)
          .where(matching(conditions, columns, p, fn))
      }),
    ),
    removeWhere: statementFor((conditions) =>
      made(`deleteMany:${conditions.join()}`, ({ db, table, columns, p, fn }) =>
        db.delete(table).where(matching(conditions, columns, p, fn)),
      ),
    ),
    list: listOf((order, isDescending, conditions) =>
      made(
        `list:${conditions.join()}${order === key ? '' : `;${order}`}${isDescending ? ' desc' : ''}`,
        ({ db, table, columns, p, fn }) => {
          const keyColumn = columns[key] as Column
          const column = columns[order] as Column
          const inOrder = isDescending ? descending : ascending
          const isAfter = conditions.includes(AFTER)
            ? after(
                [...new Set([column, keyColumn])],
                order === key ? [AFTER] : [newValue(order), AFTER],
                p,
                isDescending,
              )
            : undefined
          const rest = conditions.filter((name) => name !== AFTER && !name.startsWith('='))
          return db
            .select()
            .from(table)
            .where(and(matching(rest, columns, p, fn), isAfter))
            .orderBy(...[...new Set([column, keyColumn])].map(inOrder))
            .limit(p[LIMIT] as Argument<number>)
        },
      ),
    ),
    count: statementFor((conditions) =>
      made(`count:${conditions.join()}`, ({ db, table, columns, p, fn }) =>
        db
          .select({ count: count() })
          .from(table)
          .where(matching(conditions, columns, p, fn)),
      ),
    ),
  }
}

/** Row values: `(created_at, link_id) > (…, …)`. */
function after(columns: readonly Column[], names: readonly string[], p: Arguments, isDescending: boolean): SQL {
  const values = columns.map((column, at) => valueFor(column, p[names[at] as string] as AnyArgument))
  const list = (parts: readonly (Column | SQL)[]): SQL => sql`(${sql.join([...parts], sql`, `)})`
  return sql`${list(columns)} ${sql.raw(isDescending ? '<' : '>')} ${list(values)}`
}

type MakeList = (order: string, isDescending: boolean, conditions: readonly string[]) => Statement<Values, Values>
function listOf(make: MakeList): MakeList {
  const known = statementFor(([order, direction, ...conditions]: readonly string[]) =>
    make(order ?? '', direction === 'desc', conditions),
  )
  return (order, isDescending, conditions) => known([order, isDescending ? 'desc' : 'asc', ...conditions])
}
