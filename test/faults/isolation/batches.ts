/** Calls at random, judged in batches: each has a database of its own, and is in memory until it has been judged. */
import type { Found } from './history.ts'
import type { Place } from './places.ts'
import { type CallRun, callAtRandom, type Outcomes } from './random-calls.ts'
import { type Audited, checkRows, type RowAnomaly, type RowTransaction } from './rows.ts'

/** Of 500 to 4,000 the quickest: a database takes a second to be made, and scans of larger tables cost more. */
export const BATCH = 2_000

export type How = Pick<CallRun, 'narrow' | 'careless'>

export interface Judged {
  readonly found: readonly Found<RowAnomaly>[]
  readonly history: readonly RowTransaction[]
  readonly audit: readonly Audited[]
  readonly outcomes: Outcomes
}

export async function judged(open: () => Promise<Place>, transactions: number, seed: number, how: How = {}) {
  await using place = await open()
  const { history, outcomes } = await callAtRandom({ ...place, transactions, seed, ...how })
  const audit = await place.audit()
  const found = checkRows(history, audit)
  return { found, history, audit, outcomes } satisfies Judged
}

/** What all batches came to. */
export interface Came {
  /** Each time that a transaction was run. */
  readonly runs: number
  readonly committed: number
  readonly outcomes: readonly (readonly [name: string, count: number])[]
}

/** `look` sees each batch; the next one has the next seed. */
export async function inBatches(
  open: () => Promise<Place>,
  transactions: number,
  seed: number,
  look: (batch: Judged, seed: number, asked: number) => void,
): Promise<Came> {
  const all: Outcomes = new Map()
  let [runs, committed] = [0, 0]
  for (let asked = 0, at = seed; asked < transactions; at++) {
    const count = Math.min(transactions - asked, BATCH)
    const batch = await judged(open, count, at)
    asked += count
    look(batch, at, asked)
    for (const [name, times] of batch.outcomes) all.set(name, (all.get(name) ?? 0) + times)
    runs += batch.history.length
    committed += batch.history.filter(({ outcome }) => outcome === 'committed').length
  }
  return { runs, committed, outcomes: [...all] }
}

export function added(one: Came, other: Came): Came {
  const outcomes: Outcomes = new Map(one.outcomes)
  for (const [name, times] of other.outcomes) outcomes.set(name, (outcomes.get(name) ?? 0) + times)
  return { runs: one.runs + other.runs, committed: one.committed + other.committed, outcomes: [...outcomes] }
}
