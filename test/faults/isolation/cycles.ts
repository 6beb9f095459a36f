/** Cycles of transactions that must each come before the next, by what closes them. The names are Adya's. */
import type { Graph } from './graph.ts'
import type { Found, Transaction } from './history.ts'

export const CYCLES = [
  /** G0: two lists on which the same transactions were in opposite orders. */
  'dirty write',
  /** G1c: each has seen the other. */
  'circular information flow',
  /** G-single: one saw a list before the other had written it, and another one after it. Lost updates, read skew. */
  'single anti-dependency',
  /** G2: each saw a list before the other wrote it. Write skew. */
  'anti-dependency cycle',
  /** All can be put into an order, but not into one in which nothing comes before what was over when it began. */
  'out of time',
] as const
export type Cycle = (typeof CYCLES)[number]

/**
 * Why one comes before the other: both wrote (the first earlier), the second read its write, the first read before the
 * write, or it had ended before the other began.
 */
export type Why = 'ww' | 'wr' | 'rw' | 'time'
const WRITES: ReadonlySet<Why> = new Set(['ww'])
const INFORMATION: ReadonlySet<Why> = new Set(['ww', 'wr'])
const DEPENDENCIES: ReadonlySet<Why> = new Set(['ww', 'wr', 'rw'])
const WITH_TIME: ReadonlySet<Why> = new Set(['ww', 'wr', 'rw', 'time'])
const ANTI: ReadonlySet<Why> = new Set(['rw'])

/**
 * A chain of moments, one for each end: what has ended comes before its moment, and that before what begins later, unless that may
 * be of an earlier moment.
 */
export function addTime(
  graph: Graph<Why>,
  history: readonly Omit<Transaction, 'steps'>[],
  happened: (at: number) => boolean,
): void {
  const all = [...history.entries()].filter(([at]) => happened(at))
  const byEnd = all.filter(([, { outcome }]) => outcome === 'committed').sort(([, a], [, b]) => a.ended - b.ended)
  const moment = (index: number): number => history.length + index
  for (const [index, [at]] of byEnd.entries()) {
    graph.add(at, moment(index), 'time')
    if (index > 0) graph.add(moment(index - 1), moment(index), 'time')
  }
  let over = 0
  for (const [at, { begun }] of all.toSorted(([, a], [, b]) => a.begun - b.begun)) {
    while ((byEnd[over]?.[1].ended ?? Number.POSITIVE_INFINITY) < begun) over++
    if (over > 0) graph.add(moment(over - 1), at, 'time')
  }
}

/** Each group of transactions that are in each other's way is named once, after the worst that is in it. */
export function classify(graph: Graph<Why>, length: number): Found<Cycle>[] {
  const named = new Set<number>()
  const found: Found<Cycle>[] = []
  const add = (anomaly: Cycle, transactions: readonly number[]): void => {
    const real = [...new Set(transactions.filter((at) => at < length))]
    if (real.some((at) => named.has(at))) return
    for (const at of real) named.add(at)
    found.push({ anomaly, transactions: real, what: real.join(' → ') })
  }
  for (const group of graph.cyclic(WRITES)) add('dirty write', group)
  for (const group of graph.cyclic(INFORMATION)) add('circular information flow', group)
  const groups = graph.cyclic(DEPENDENCIES)
  const inGroup = new Map(groups.flatMap((group, index) => group.map((at) => [at, index] as const)))
  for (const [from, to] of graph.edges(ANTI)) {
    if (inGroup.get(from) === undefined || inGroup.get(from) !== inGroup.get(to)) continue
    const back = graph.path(to, from, INFORMATION)
    if (back !== undefined) add('single anti-dependency', back)
  }
  for (const group of groups) add('anti-dependency cycle', group)
  for (const group of graph.cyclic(WITH_TIME)) add('out of time', group)
  return found
}
