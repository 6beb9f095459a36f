/** The order of a list, by a column and then by the key, and the places in it where pages begin and end: keyset pagination. */
import { type Column, type SQL, sql, type Table } from 'drizzle-orm'
import { type Argument, equalsMillisecond, type Functions, valueFor } from '../database/queries.ts'
import { present, validationError } from '../errors.ts'
import { StoredTime } from '../schema/codecs.ts'
import { isFlag, isId, isLimit, isOneOf, isTime, type Rules } from '../schema/rules.ts'
import type { Range } from './pages.ts'

export interface Order {
  /** Properties. `by` is the key for an order of the keys alone. */
  readonly key: string
  readonly by: string
  /** `by` is a time, which another program may have stored more exactly than a `Date` holds it. */
  readonly isTime: boolean
  readonly isDescending: boolean
  /** Only keys that begin with this text. */
  readonly prefix?: string | undefined
}

/** A row's place. */
export interface Place {
  readonly key: string
  /** The value of the column `by`, if that is not the key. `Date`: a caller's time; `StoredTime`: as it is stored. */
  readonly value?: unknown
}

/** A row of a list by a time has the stored time here. */
export const STORED_TIME = '$storedTime'

/** The bounds of a range: its parameters by the names of their conditions. */
export type Bounds = Readonly<Record<string, unknown>>

const [AFTER, AFTER_VALUE, AFTER_MILLISECOND] = ['$after', '$afterValue', '$afterMillisecond'] as const
const [UP_TO, UP_TO_VALUE] = ['$upTo', '$upToValue'] as const
const [PREFIX, PREFIX_END] = ['$prefix', '$prefixEnd'] as const
export const LIMIT = '$limit'
export const SKIPPED = '$skipped'

export const keyOrder = (key: string): Order => ({ key, by: key, isTime: false, isDescending: false })

/** The place of a row that a list by `order` has returned. */
export function placeOf({ key, by, isTime }: Order, row: Readonly<Record<string, unknown>>): Place {
  if (by === key) return { key: String(row[key]) }
  const stored = row[STORED_TIME]
  return { key: String(row[key]), value: isTime && typeof stored === 'number' ? new StoredTime(stored) : row[by] }
}

/** In an order of the keys, a page's bound replaces the prefix's: SQLite would use either for the index. */
export function boundsOf(order: Order, { after, upTo }: Range<Place>): Bounds {
  const bounds: Record<string, unknown> = {}
  const isByKey = order.by === order.key
  const keys = order.prefix === undefined ? undefined : keysWith(order.prefix)
  const [near, far] = order.isDescending ? (['end', 'begin'] as const) : (['begin', 'end'] as const)
  const isBefore = (place: Place): boolean =>
    keys?.[near] !== undefined &&
    (order.isDescending ? compareKeys(place.key, keys[near]) >= 0 : compareKeys(place.key, keys[near]) < 0)
  const from = isByKey && after !== undefined && isBefore(after) ? undefined : after
  if (from !== undefined) {
    bounds[AFTER] = from.key
    if (!isByKey) bounds[AFTER_VALUE] = from.value
    if (from.value instanceof Date) bounds[AFTER_MILLISECOND] = from.value.getTime()
  }
  if (upTo !== undefined) {
    bounds[UP_TO] = upTo.key
    if (!isByKey) bounds[UP_TO_VALUE] = upTo.value
  }
  const isReplaced = { [near]: isByKey && from !== undefined, [far]: isByKey && upTo !== undefined }
  if (keys !== undefined && !isReplaced.begin) bounds[PREFIX] = keys.begin
  if (keys?.end !== undefined && !isReplaced.end) bounds[PREFIX_END] = keys.end
  return bounds
}

const compareKeys = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Keys that begin with a prefix, in the order of code points: from the prefix to before its successor. */
function keysWith(prefix: string): { readonly begin: string; readonly end: string | undefined } {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  while (points.at(-1) === 0x10ffff) points.pop()
  const last = points.pop()
  if (last === undefined) return { begin: prefix, end: undefined }
  // Surrogates are no characters.
  const next = last === 0xd7ff ? 0xe000 : last + 1
  return { begin: prefix, end: String.fromCodePoint(...points, next) }
}

interface Ordered {
  readonly table: Table
  readonly key: Column
  readonly by: Column
  readonly isDescending: boolean
  readonly fn: Pick<Functions, 'unindexed'>
}

type Parameters = Readonly<Record<string, Argument<unknown>>>

/** The conditions of the bounds that `names` has. */
export function within({ table, key, by, isDescending, fn }: Ordered, names: readonly string[], p: Parameters): SQL[] {
  const conditions: SQL[] = []
  const has = (name: string): boolean => names.includes(name)
  const value = (column: Column, name: string): SQL => valueFor(column, present(p[name]))
  const bound = (operator: string, keyName: string, of: SQL): SQL =>
    by === key
      ? sql`${key} ${sql.raw(operator)} ${value(key, keyName)}`
      : sql`(${by}, ${key}) ${sql.raw(operator)} (${of}, ${value(key, keyName)})`
  if (has(AFTER)) {
    const given = value(by, AFTER_VALUE)
    // While the row has the caller's time, its stored time counts.
    const isCallers = equalsMillisecond(by, p[AFTER_MILLISECOND] as Argument<number>)
    const stored = sql`(SELECT ${by} FROM ${table} WHERE ${key} = ${value(key, AFTER)} AND ${isCallers})`
    const from = has(AFTER_MILLISECOND) ? sql`coalesce(${stored}, ${given})` : given
    conditions.push(bound(isDescending ? '<' : '>', AFTER, from))
  }
  if (has(UP_TO)) conditions.push(bound(isDescending ? '>=' : '<=', UP_TO, value(by, UP_TO_VALUE)))
  const keys = (operator: string, name: string): SQL => sql`${key} ${sql.raw(operator)} ${value(key, name)}`
  const prefixes = [...(has(PREFIX) ? [keys('>=', PREFIX)] : []), ...(has(PREFIX_END) ? [keys('<', PREFIX_END)] : [])]
  // In another order they must not lead SQLite to the key's index, which would need a sort.
  return [...conditions, ...prefixes.map((each) => (by === key ? each : fn.unindexed(each)))]
}

export const columnsOf = <T>({ key, by }: { readonly key: T; readonly by: T }): readonly T[] =>
  by === key ? [key] : [by, key]

/** The rules of a list's options, beside those of its filter. */
export const orderRules = (key: string): Rules => ({
  orderBy: isOneOf(key, 'updatedAt'),
  descending: isFlag,
})
export const PAGE_RULES: Rules = {
  limit: isLimit,
  after: (value) => (typeof value === 'object' && value !== null ? undefined : isId(value)),
}

/** The place that a reading call means by `after`: a key, or the last row of the page before. Throws VALIDATION. */
export function placeAfter({ key, by }: Order, after: unknown): Place | undefined {
  if (after === undefined) return undefined
  const row: Readonly<Record<string, unknown>> =
    typeof after === 'object' && after !== null ? { ...after } : by === key ? { [key]: after } : {}
  const isKey = isId(row[key]) === undefined
  if (isKey && by === key) return { key: row[key] as string }
  if (isKey && isTime(row[by]) === undefined) return { key: row[key] as string, value: row[by] }
  const message = `must be ${by === key ? `a ${key}, or ` : ''}the last row of the page before`
  throw validationError('The options', [{ path: 'after', message }], 'read')
}
