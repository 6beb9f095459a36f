/** Group commit: many calls as one transaction of few statements. */
import type { Written } from '../session.ts'
import type { BoundStatement, Bulk } from '../statement.ts'
import { bindBulk, keyOf, resultsOf } from './bulk.ts'
import type { Place } from './keyed-queue.ts'
import { tableOf } from './touched.ts'

/** A call with a key that waits for its turn in the write lane. */
export interface Item {
  readonly bound: BoundStatement<unknown>
  readonly bulk: Bulk<unknown> | undefined
  /** Read in the same transaction if the call writes nothing. */
  readonly lookup: BoundStatement<unknown> | undefined
  readonly place: Place
  readonly resolve: (written: never) => void
  readonly reject: (error: unknown) => void
}

/** Items of one wave and of one kind: one statement. */
interface Group {
  readonly bulk: Bulk<unknown> | undefined
  readonly items: Item[]
}

/**
 * Each row occurs once in a group, and the groups of a row follow the order of its calls. A group's rows are sorted by key: all
 * transactions lock them in this order. Cached paths come first: a path that was stored before a topology change must not be stored
 * after it.
 */
function groupsOf(items: readonly Item[]): Group[] {
  const waves: Map<unknown, Group>[] = []
  const callsOf = new Map<string, number>()
  for (const item of items) {
    const row = rowOf(item)
    const wave = callsOf.get(row) ?? 0
    callsOf.set(row, wave + 1)
    waves[wave] ??= new Map()
    const kind = item.bulk ?? item
    const group = waves[wave].get(kind)
    if (group === undefined) waves[wave].set(kind, { bulk: item.bulk, items: [item] })
    else group.items.push(item)
  }
  const groups = waves.flatMap((wave) => [...wave.values()])
  for (const { bulk, items } of groups) if (bulk !== undefined && items.length > 1) sort(bulk, items)
  const comesFirst = ({ items: [first] }: Group): boolean => first !== undefined && isOfPaths(first)
  return [...groups.filter(comesFirst), ...groups.filter((group) => !comesFirst(group))]
}

export const isOfPaths = (item: Item): boolean => tableOf(rowOf(item)) === 'pathCache'

const rowOf = ({ place }: Item): string => place.rows[0]?.name ?? ''

function sort(bulk: Bulk<unknown>, items: Item[]): void {
  items.sort((a, b) => (String(keyOf(bulk, a.bound)) < String(keyOf(bulk, b.bound)) ? -1 : 1))
}

/** The outcome of a batch's statements. */
export interface Answers {
  readonly results: Map<Item, Written<unknown, unknown>>
  /** Items whose rows must be looked up before the commit. */
  readonly lookups: Item[]
}

export class Batch {
  readonly items: readonly Item[]
  readonly #groups: Group[]

  constructor(items: readonly Item[]) {
    this.items = items
    this.#groups = groupsOf(items)
  }

  get statements(): BoundStatement<unknown>[] {
    return this.#groups.map(({ bulk, items }) =>
      bulk === undefined || items.length === 1 ? (items[0] as Item).bound : bindBulk(bulk, boundsOf(items)),
    )
  }

  /** Whether no answer must be decoded or looked up before the commit. */
  get commitsAtOnce(): boolean {
    return this.items.every(({ bound, lookup }) => bound.compiled.decode === undefined && lookup === undefined)
  }

  answers(written: readonly Written<unknown>[]): Answers {
    const results = new Map<Item, Written<unknown, unknown>>()
    for (const [at, { bulk, items }] of this.#groups.entries()) {
      const answer = written[at] as Written<unknown>
      const each = bulk === undefined || items.length === 1 ? [answer] : resultsOf(bulk, boundsOf(items), answer.rows)
      for (const [index, item] of items.entries()) results.set(item, each[index] as Written<unknown>)
    }
    const lookups = this.items.filter((item) => item.lookup !== undefined && results.get(item)?.changes === 0)
    return { results, lookups }
  }

  /**
   * The first item whose lookup would come too late, since a later item of the batch concerns the same row. The batch must end
   * after this item.
   */
  tooLate(lookups: readonly Item[]): Item | undefined {
    if (lookups.length === 0) return undefined
    const last = new Map(this.items.map((item) => [rowOf(item), item]))
    return lookups.find((item) => last.get(rowOf(item)) !== item)
  }
}

const boundsOf = (items: readonly Item[]): BoundStatement<unknown>[] => items.map(({ bound }) => bound)
