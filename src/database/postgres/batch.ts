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
  /** Reads behind the statement, before later calls of its rows. */
  reads: readonly BoundStatement<unknown>[]
}

/**
 * Each row occurs once in a group, and the groups of a row follow the order of its calls. A group's rows are sorted by key: all
 * transactions lock them in this order. Cached paths come first: a path that was stored before a topology change must not be stored
 * after it.
 */
function groupsOf(items: readonly Item[]): { groups: Group[]; isOneWave: boolean } {
  const waves: Map<unknown, Group>[] = []
  const callsOf = new Map<string, number>()
  for (const item of items) {
    const row = rowOf(item)
    const wave = callsOf.get(row) ?? 0
    callsOf.set(row, wave + 1)
    waves[wave] ??= new Map()
    const kind = item.bulk ?? item
    const group = waves[wave].get(kind)
    if (group === undefined) waves[wave].set(kind, { bulk: item.bulk, items: [item], reads: [] })
    else group.items.push(item)
  }
  const groups = waves.flatMap((wave) => [...wave.values()])
  for (const { bulk, items } of groups) if (bulk !== undefined && items.length > 1) sort(bulk, items)
  const comesFirst = ({ items: [first] }: Group): boolean => first !== undefined && isOfPaths(first)
  const ordered = [...groups.filter(comesFirst), ...groups.filter((group) => !comesFirst(group))]
  return { groups: ordered, isOneWave: waves.length === 1 }
}

export const isOfPaths = (item: Item): boolean => tableOf(rowOf(item)) === 'pathCache'

const rowOf = ({ place }: Item): string => place.rows[0]?.name ?? ''

function sort(bulk: Bulk<unknown>, items: Item[]): void {
  items.sort((a, b) => (String(keyOf(bulk, a.bound)) < String(keyOf(bulk, b.bound)) ? -1 : 1))
}

/** The outcome of a batch's statements. */
export interface Answers {
  readonly results: Map<Item, Written<unknown, unknown>>
  /** Items whose rows must be read: before the commit, or they run again. */
  readonly unread: Item[]
}

export class Batch {
  readonly items: readonly Item[]
  readonly #groups: Group[]
  /** Inserts whose keys are read, whatever comes of them. */
  readonly #read: ReadonlySet<Item>

  /**
   * Few inserts find their keys taken, so the others need not read them. Read are those of rows that later items concern, and with
   * `readsTaken` all.
   */
  constructor(items: readonly Item[], { readsTaken = false } = {}) {
    this.items = items
    const { groups, isOneWave } = groupsOf(items)
    this.#groups = groups
    if (readsTaken) this.#read = new Set(items)
    else if (isOneWave) this.#read = NONE
    else {
      const last = lastOfRows(items)
      this.#read = new Set(items.filter((item) => last.get(rowOf(item)) !== item))
    }
    if (this.#read.size > 0)
      for (const group of groups) group.reads = looksAt(group.items.filter((item) => this.#read.has(item)))
  }

  get statements(): BoundStatement<unknown>[] {
    return this.#groups.flatMap(({ bulk, items, reads }) => [
      bulk === undefined || items.length === 1 ? (items[0] as Item).bound : bindBulk(bulk, boundsOf(items)),
      ...reads,
    ])
  }

  /** Whether no answer must be decoded or looked up before the commit. Inserts that find their keys taken run again. */
  get commitsAtOnce(): boolean {
    return this.items.every(({ bound, lookup }) => bound.compiled.decode === undefined && lookup === undefined)
  }

  answers(written: readonly Written<unknown>[]): Answers {
    const results = new Map<Item, Written<unknown, unknown>>()
    let at = 0
    for (const { bulk, items, reads } of this.#groups) {
      const answer = written[at] as Written<unknown>
      const each = bulk === undefined || items.length === 1 ? [answer] : resultsOf(bulk, boundsOf(items), answer.rows)
      for (const [index, item] of items.entries()) results.set(item, each[index] as Written<unknown>)
      if (reads.length > 0) {
        const read = items.filter((item) => this.#read.has(item))
        noteFound(results, read, written.slice(at + 1, at + 1 + reads.length))
      }
      at += 1 + reads.length
    }
    const mustRead = (item: Item): boolean =>
      item.lookup !== undefined || (item.looks !== undefined && !this.#read.has(item))
    const unread = this.items.filter((item) => mustRead(item) && results.get(item)?.changes === 0)
    return { results, unread }
  }

  /**
   * The first item whose row would be read too late, since a later item of the batch concerns the same row. The batch must end
   * after this item.
   */
  tooLate(unread: readonly Item[]): Item | undefined {
    if (unread.length === 0) return undefined
    const last = lastOfRows(this.items)
    return unread.find((item) => last.get(rowOf(item)) !== item)
  }
}

const NONE: ReadonlySet<Item> = new Set()

const lastOfRows = (items: readonly Item[]): ReadonlyMap<string, Item> =>
  new Map(items.map((item) => [rowOf(item), item]))

/** Reads the keys of the inserts among the items. */
export function looksAt(items: readonly Item[]): BoundStatement<unknown>[] {
  const keys = new InsertedKeys()
  for (const item of items) if (item.looks !== undefined) keys.add(item.looks, keyIn(rowOf(item)))
  return [...lookingAt(keys.byTable)]
}

/**
 * Notes for each insert that wrote nothing whether its key is there, by the answers to `looksAt(items)`: a trigger may have dropped
 * the row.
 */
export function noteFound(
  results: Answers['results'],
  items: readonly Item[],
  answers: readonly Written<unknown>[],
): void {
  const tables = [...new Set(items.flatMap(({ looks }) => looks ?? []))]
  const there = new Map(tables.map((looks, at) => [looks, new Set(answers[at]?.rows)]))
  for (const item of items) {
    const keys = item.looks && there.get(item.looks)
    const key = keyIn(rowOf(item))
    if (keys !== undefined && results.get(item)?.changes === 0)
      results.set(item, { rows: [], changes: 0, found: keys.has(key) ? [key] : [] })
  }
}

const boundsOf = (items: readonly Item[]): BoundStatement<unknown>[] => items.map(({ bound }) => bound)
