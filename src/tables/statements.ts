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
  nextMillisecond,
  type Queries,
  type Select,
  undecoded,
  valueFor,
} from '../database/queries.ts'
import { pick, type Statement, type StatementKind, statement, statementFor } from '../database/statement.ts'
import { columnsOf, LIMIT, type Order, SKIPPED, STORED_TIME, within } from '../repositories/order.ts'
import type { Described } from './described.ts'

export type Values = Readonly<Record<string, unknown>>
type AnyArgument = Argument<unknown>
type Arguments = Readonly<Record<string, AnyArgument>>
type Columns = Readonly<Record<string, Column>>

function columnIn(columns: Columns, property: string): Column {
  const column = columns[property]
  if (column === undefined) throw new TypeError(`The table has no column ${property}.`)
  return column
}

/** There is a placeholder for every name. */
const argumentIn = <T = unknown>(p: Arguments, name: string): Argument<T> => p[name] as Argument<T>

/** Names of parameters beside those that are called like columns. */
export const IF_MILLISECOND = '$ifMillisecond'
export const NOW = '$now'
export const KEYS = '$keys'

/** A condition of a filter is the name of its parameter: the column's property, with one of these behind it. */
export const ONE_OF = '[]'
const NULL = '=null'
export const isNull = (property: string): string => `${property}${NULL}`
export const isOneOf = (property: string): string => `${property}${ONE_OF}`
export const propertyIn = (condition: string): string => condition.replace(/(\[\]|=null)$/, '')
/** The values of the columns that an update sets, beside those of its filter. */
export const newValue = (property: string): string => `=${property}`

interface Query {
  readonly db: Queries
  readonly table: Table
  readonly columns: Columns
  readonly p: Arguments
  readonly fn: Functions
}

export interface TableStatements {
  readonly byKey: Statement<Values, Values>
  readonly byKeys: Statement<Values, Values>
  /** Tells a key that is there from a row that a trigger has dropped. */
  readonly isThere: Statement<Values, Values>
  readonly insert: Statement<Values, never>
  readonly upsert: (replaced: readonly string[]) => Statement<Values, Values>
  readonly update: (changed: readonly string[]) => Statement<Values, Values>
  readonly remove: (conditions: readonly string[]) => Statement<Values, never>
  /** `names`: conditions, then the columns that are set as `newValue()`. */
  readonly updateWhere: (names: readonly string[]) => Statement<Values, never>
  readonly removeWhere: (conditions: readonly string[]) => Statement<Values, never>
  readonly list: (plan: ListPlan, bounds: readonly string[]) => Statement<Values, Values>
  /** The row that is some rows further on. Read from an index alone. */
  readonly ahead: (plan: ListPlan, bounds: readonly string[]) => Statement<Values, Values>
  /** A row behind many that match this condition, for which there is an index. */
  readonly many: (condition: string) => Statement<Values, { one: number }>
  readonly count: (plan: ListPlan, bounds: readonly string[]) => Statement<Values, { count: number }>
}

/** How a list finds its rows. */
export interface ListPlan {
  readonly order: Order
  /** The names of the filter's conditions. */
  readonly conditions: readonly string[]
  /** The conditions that an index is for. SQLite must use no index for the others. */
  readonly indexed: readonly string[]
}

export function statementsOf(described: Described): TableStatements {
  const { name } = described
  const key = described.key.property
  const properties = described.columns.map(({ property }) => property)

  type Make = (query: Query) => unknown
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
  const isKey = (columns: Columns, p: Arguments): SQL => eq(columnIn(columns, key), argumentIn(p, key))
  const touched = (fn: Functions, { updatedAt }: Columns, now: SQL): Values =>
    updatedAt === undefined ? {} : { updatedAt: fn.greatest(now, nextMillisecond(updatedAt)) }
  const asOf = ({ updatedAt }: Columns, p: Arguments): SQL | undefined =>
    updatedAt && valueFor(updatedAt, argumentIn(p, NOW))

  const matching = (names: readonly string[], columns: Columns, p: Arguments, fn: Functions): SQL | undefined =>
    and(
      ...names.map((name) => {
        const parameter = argumentIn(p, name)
        const column = columnIn(columns, propertyIn(name))
        if (name.endsWith(NULL)) return sql`${column} IS NULL`
        return name.endsWith(ONE_OF) ? fn.isOneOf(column, parameter) : eq(column, parameter)
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
        .where(fn.isOneOf(columnIn(columns, key), argumentIn(p, KEYS))),
    ),
    isThere: made('isThere', ({ db, table, columns, p }) =>
      db
        .select({ [key]: columnIn(columns, key) })
        .from(table)
        .where(isKey(columns, p)),
    ),
    // An existing key changes no row. A unique violation would end a transaction on PostgreSQL.
    insert: made(
      'create',
      ({ db, table, p, columns }) =>
        db
          .insert(table)
          .values(all(p) as never)
          .onConflictDoNothing({ target: columnIn(columns, key) }),
      'inserts one row',
    ),
    upsert: statementFor((replaced) =>
      made(
        `save:${replaced.join()}`,
        ({ db, table, columns, p, fn }) => {
          const set: Record<string, unknown> = {}
          for (const property of replaced) set[property] = excluded(columnIn(columns, property))
          if (columns.updatedAt !== undefined) Object.assign(set, touched(fn, columns, excluded(columns.updatedAt)))
          const insert = db.insert(table).values(all(p) as never)
          return insert.onConflictDoUpdate({ target: columnIn(columns, key), set: set as never }).returning()
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
            ? equalsMillisecond(columnIn(columns, 'updatedAt'), argumentIn<number>(p, IF_MILLISECOND))
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
            ? equalsMillisecond(columnIn(columns, 'updatedAt'), argumentIn<number>(p, IF_MILLISECOND))
            : undefined
          return db.delete(table).where(and(isKey(columns, p), expected))
        },
        'changes one row',
      ),
    ),
    updateWhere: statementFor((names) =>
      made(
        `updateMany:${names.join()}`,
        ({ db, table, columns, p, fn }) => {
          const changed = names.filter((each) => each.startsWith('='))
          const set: Record<string, unknown> = {}
          for (const each of changed) set[each.slice(1)] = p[each]
          const now = asOf(columns, p)
          if (now !== undefined) set.updatedAt = fn.nowOrAfter(now, columns.updatedAt as Column)
          const conditions = names.filter((each) => !changed.includes(each))
          return db
            .update(table)
            .set(set as never)
            .where(matching(conditions, columns, p, fn))
        },
        'changes many rows',
      ),
    ),
    removeWhere: statementFor((conditions) =>
      made(
        `deleteMany:${conditions.join()}`,
        ({ db, table, columns, p, fn }) => db.delete(table).where(matching(conditions, columns, p, fn)),
        'changes many rows',
      ),
    ),
    list: planned((plan, bounds) =>
      made(`list:${namesIn(plan, bounds)}`, (query) => {
        const { db, table, columns, p } = query
        const { order } = plan
        const select = order.isTime
          ? db.select({ ...columns, [STORED_TIME]: undecoded(columnIn(columns, order.by)) }).from(table)
          : db.select().from(table)
        return (select as Select<Values>)
          .where(and(...found(plan, query), ...within(orderedBy(order, query), bounds, p)))
          .orderBy(...sorted(order, columns))
          .limit(argumentIn<number>(p, LIMIT))
      }),
    ),
    ahead: planned((plan, bounds) =>
      made(`ahead:${namesIn(plan, bounds)}`, (query) => {
        const { db, table, columns, p } = query
        const { order, indexed } = plan
        const by = columnIn(columns, order.by)
        const selected = { ...pick(columns, [order.by, key]), ...(order.isTime && { [STORED_TIME]: undecoded(by) }) }
        return db
          .select(selected)
          .from(table)
          .where(and(...found({ ...plan, conditions: indexed }, query), ...within(orderedBy(order, query), bounds, p)))
          .orderBy(...sorted(order, columns))
          .limit(1)
          .offset(argumentIn<number>(p, SKIPPED))
      }),
    ),
    many: statementForOne((condition) =>
      made(`many:${condition}`, ({ db, table, columns, p, fn }) =>
        db
          .select({ one: sql<number>`1` })
          .from(table)
          .where(matching([condition], columns, p, fn))
          .limit(1)
          .offset(argumentIn<number>(p, SKIPPED)),
      ),
    ),
    count: planned((plan, bounds) =>
      made(`count:${namesIn(plan, bounds)}`, (query) => {
        const { db, table, p } = query
        return db
          .select({ count: count() })
          .from(table)
          .where(and(...found(plan, query), ...within(orderedBy(plan.order, query), bounds, p)))
      }),
    ),
  }

  function found({ conditions, indexed }: ListPlan, { columns, p, fn }: Query): (SQL | undefined)[] {
    return conditions.map((name) => {
      const condition = matching([name], columns, p, fn)
      return condition === undefined || indexed.includes(name) ? condition : fn.unindexed(condition)
    })
  }
}

const orderedBy = ({ key, by, isDescending }: Order, { table, columns, fn }: Query) => ({
  table,
  key: columnIn(columns, key),
  by: columnIn(columns, by),
  isDescending,
  fn,
})

const sorted = ({ key, by, isDescending }: Order, columns: Columns): SQL[] =>
  columnsOf({ key, by }).map((property) => (isDescending ? descending : ascending)(columnIn(columns, property)))

/** The parts of a list's options on which its SQL depends. */
const namesIn = ({ order, conditions, indexed }: ListPlan, bounds: readonly string[]): string =>
  [
    [...conditions, ...bounds].join(),
    order.by === order.key ? '' : `;${order.by}`,
    order.isDescending ? ' desc' : '',
    indexed.length > 0 ? `;by ${indexed.join()}` : '',
  ].join('')

function planned<R>(make: (plan: ListPlan, bounds: readonly string[]) => Statement<Values, R>) {
  const known = new Map<string, Statement<Values, R>>()
  return (plan: ListPlan, bounds: readonly string[]): Statement<Values, R> => {
    const name = namesIn(plan, bounds)
    let statement = known.get(name)
    if (statement === undefined) {
      statement = make(plan, bounds)
      known.set(name, statement)
    }
    return statement
  }
}

function statementForOne<R>(make: (name: string) => Statement<Values, R>): (name: string) => Statement<Values, R> {
  const known = statementFor(([name = '']: readonly string[]) => make(name))
  return (name) => known([name])
}
