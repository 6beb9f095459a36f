/** Group commit: many calls as one transaction of few statements. */
import { InsertedKeys } from '../inserted-keys.ts'
import type { Written } from '../session.ts'
import type { BoundStatement, Bulk, Looks } from '../statement.ts'
import { bindBulk, keyOf, resultsOf } from './bulk.ts'
import type { Place } from './keyed-queue.ts'
import { lookingAt } from './looks.ts'
import { keyOf as keyIn, tableOf } from './touched.ts'

/** A call with a key that waits for its turn in the write lane. */
export interface Item {
  readonly bound: BoundStatement<unknown>
  readonly bulk: Bulk<unknown> | undefined
  /** Read in the same transaction if the call writes nothing. */
  readonly lookup: BoundStatement<unknown> | undefined
  /** An insert that finds its key taken answers as of the commit: then the transaction reads the key. */
  readonly looks: Looks | undefined
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
function groupsOf(items: readonly Item[]): { groups: Group[]; hasOneWave: boolean } {
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
  const ordered = [...groups.filter(comesFirst), ...groups.filter((group) => !comesFirst(group))]
  return { groups: ordered, hasOneWave: waves.length === 1 }
}

export const isOfPaths = (item: Item): boolean => tableOf(rowOf(item)) === 'pathCache'

const rowOf = ({ place }: Item): string => place.rows[0]?.name ?? ''

function sort(bulk: Bulk<unknown>, items: Item[]): void {
  items.sort((a, b) => (String(keyOf(bulk, a.bound)) < String(keyOf(bulk, b.bound)) ? -1 : 1))
}

/** The outcome of a batch's statements. */
export interface Answers {
  readonly results: Map<Item, Written<unknown, unknown>>
  /** Items whose rows must be read before the commit. */
  readonly unread: Item[]
}

export class Batch {
  readonly items: readonly Item[]
  readonly #groups: Group[]
  readonly #mayReadLater: boolean

  /** `readsTaken`: inserts that find their keys taken read them before the commit, at the price of one more round trip. */
  constructor(items: readonly Item[], { readsTaken = false } = {}) {
    this.items = items
    const { groups, hasOneWave } = groupsOf(items)
    this.#groups = groups
    this.#mayReadLater = hasOneWave && !readsTaken
  }

  get statements(): BoundStatement<unknown>[] {
    return this.#groups.map(({ bulk, items }) =>
      bulk === undefined || items.length === 1 ? (items[0] as Item).bound : bindBulk(bulk, boundsOf(items)),
    )
  }

  /**
   * Whether no answer must be decoded before the commit, and no row be read. Few inserts find their keys taken: they run again, if no
   * later item concerns their rows.
   */
  get commitsAtOnce(): boolean {
    return this.items.every(
      ({ bound, lookup, looks }) =>
        bound.compiled.decode === undefined && lookup === undefined && (looks === undefined || this.#mayReadLater),
    )
  }

  answers(written: readonly Written<unknown>[]): Answers {
    const results = new Map<Item, Written<unknown, unknown>>()
    for (const [at, { bulk, items }] of this.#groups.entries()) {
      const answer = written[at] as Written<unknown>
      const each = bulk === undefined || items.length === 1 ? [answer] : resultsOf(bulk, boundsOf(items), answer.rows)
      for (const [index, item] of items.entries()) results.set(item, each[index] as Written<unknown>)
    }
    const isRead = ({ lookup, looks }: Item): boolean => lookup !== undefined || looks !== undefined
    const unread = this.items.filter((item) => isRead(item) && results.get(item)?.changes === 0)
    return { results, unread }
  }

  /**
   * The first item whose row would be read too late, since a later item of the batch concerns the same row. The batch must end
   * after this item.
   */
  tooLate(unread: readonly Item[]): Item | undefined {
    if (unread.length === 0) return undefined
    const last = new Map(this.items.map((item) => [rowOf(item), item]))
    return unread.find((item) => last.get(rowOf(item)) !== item)
  }
}

/** Reads the keys that inserts have found taken. */
export function looksAt(items: readonly Item[]): Iterable<BoundStatement<never>> {
  const keys = new InsertedKeys()
  for (const item of items) if (item.looks !== undefined) keys.add(item.looks, keyIn(rowOf(item)))
  return lookingAt(keys.byTable)
}

const boundsOf = (items: readonly Item[]): BoundStatement<unknown>[] => items.map(({ bound }) => bound)
