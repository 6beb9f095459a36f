/** The rows of an own table that match, in an order. */
import type { Session } from '../database/session.ts'
import { boundsOf, columnsOf, LIMIT, type Place, placeOf, SKIPPED, STORED_TIME } from '../repositories/order.ts'
import type { Counting, Listing } from '../repositories/pages.ts'
import type { Arguments, Selected } from './arguments.ts'
import { type ListPlan, ONE_OF, propertyIn, type Values } from './statements.ts'

/** So many rows that an index leads to are read and sorted at once: about 3 ms on SQLite. */
const FEW = 2_000

const withoutStoredTime = ({ [STORED_TIME]: _, ...row }: Values): Values => row

export function listing(
  { statements, table }: Pick<Arguments, 'statements' | 'table'>,
  { order, filter }: Selected,
): Listing<Values, Values, Place> & Counting<Place> {
  const conditions = Object.keys(filter)
  const indexes = [[order.key], ...table.indexes]
  const leading = leadingIn(indexes, conditions, columnsOf(order))
  const candidates = conditions.filter(
    (each) => !leading.includes(each) && indexes.some(([first]) => first === propertyIn(each)),
  )
  const isByKey = order.by === order.key
  // Otherwise each piece would sort the rows with the same value.
  const isInOrder = indexes.some((index) => columnsOf(order).every((property, at) => index[at] === property))
  /** Until a probe of an index has found few rows. */
  let plan: ListPlan = { order, conditions, indexed: isInOrder ? leading : conditions }
  const probe = async (on: Session): Promise<boolean> => {
    for (const condition of candidates) {
      const many = await on.readOne(statements.many(condition), { ...filter, [SKIPPED]: FEW })
      if (many !== undefined) continue
      plan = { order, conditions, indexed: [condition] }
      return true
    }
    return false
  }
  return {
    isSelective: isInOrder && (conditions.length > leading.length || (!isByKey && order.prefix !== undefined)),
    isLarge: true,
    ...(candidates.length > 0 && { isFew: probe }),
    read: (on, { limit, ...range }) => {
      const bounds = boundsOf(order, range)
      return on.read(statements.list(plan, Object.keys(bounds)), { ...filter, ...bounds, [LIMIT]: limit })
    },
    keyOf: (row) => placeOf(order, row),
    ...(order.isTime && { shown: withoutStoredTime }),
    keyAhead: async (on, { passed, ...range }) => {
      const bounds = boundsOf(isByKey ? order : { ...order, prefix: undefined }, range)
      const ahead = statements.ahead(plan, Object.keys(bounds))
      const row = await on.readOne(ahead, { ...filter, ...bounds, [SKIPPED]: passed - 1 })
      return row && placeOf(order, row)
    },
    count: async (on, range) => {
      const bounds = boundsOf(order, range)
      return (await on.readOne(statements.count(plan, Object.keys(bounds)), { ...filter, ...bounds }))?.count ?? 0
    },
  }
}

/** The conditions behind which an index is in the list's order: `(source, link_id)` for `source = ?` by keys. */
function leadingIn(
  indexes: readonly (readonly string[])[],
  conditions: readonly string[],
  order: readonly string[],
): readonly string[] {
  let longest: readonly string[] = []
  for (const index of indexes)
    for (let columns = longest.length + 1; columns <= index.length - order.length; columns++) {
      const isInOrder = order.every((property, at) => index[columns + at] === property)
      const names = index.slice(0, columns)
      // A list of values is not in the order behind them.
      const found = conditions.filter((each) => names.includes(propertyIn(each)) && !each.endsWith(ONE_OF))
      if (isInOrder && found.length === columns) longest = found
    }
  return longest
}
