/**
 * Anomalies that histories of lists must not show under strict serializability: all transactions in one order, and none
 * before another that was over when it began. Transactions append numbers to lists. A list tells all its appends in
 * order, which orders the transactions. The names are Adya's, and those of the checker Elle.
 */
import { addTime, CYCLES, classify, type Why } from './cycles.ts'
import { Graph } from './graph.ts'
import type { Found, Step, Transaction } from './history.ts'

export const ANOMALIES = [
  /** A number that nobody appended, or one that is there twice. */
  'garbage read',
  'duplicate',
  /** One list has a number where another one has another. */
  'incompatible order',
  /** A transaction does not see what it did itself, or sees a row change under it that it did not write. */
  'internal',
  /** G1a: of a transaction that was aborted. */
  'aborted read',
  /** G1b: of a transaction that had not finished with the list. */
  'intermediate read',
  /** It was acknowledged, and is not there in the end. */
  'lost append',
  ...CYCLES,
] as const
export type Anomaly = (typeof ANOMALIES)[number]

type Lists = ReadonlyMap<string, readonly number[]>

/** `final`: all lists as they were when everything was over. */
export function check(history: readonly Transaction[], final: Lists): Found<Anomaly>[] {
  const writers = writersOf(history)
  const values = [
    ...wrongLists(history, final, writers),
    ...wrongReads(history, writers),
    ...wrongInTheEnd(history, final, writers),
  ]
  // The lists agree: their order decides which transaction comes before which.
  return values.length > 0 ? values : cycles(history, final, writers)
}

/** The transaction that appended a number, and whether it appended more to the same list later. */
interface Writer {
  readonly by: number
  readonly key: string
  readonly last: boolean
}
type Writers = ReadonlyMap<number, Writer>

function writersOf(history: readonly Transaction[]): Writers {
  const writers = new Map<number, Writer>()
  for (const [by, { steps }] of history.entries()) {
    const last = new Map(steps.flatMap((step) => (step.do === 'append' ? [[step.key, step.value] as const] : [])))
    for (const step of steps)
      if (step.do === 'append') writers.set(step.value, { by, key: step.key, last: last.get(step.key) === step.value })
  }
  return writers
}

const reads = ({ steps }: Transaction): Extract<Step, { do: 'read' }>[] => steps.filter((step) => step.do === 'read')

const isPrefix = (of: readonly number[], list: readonly number[]): boolean =>
  list.length <= of.length && list.every((value, index) => value === of[index])

function wrongLists(history: readonly Transaction[], final: Lists, writers: Writers): Found<Anomaly>[] {
  const found: Found<Anomaly>[] = []
  const look = (key: string, list: readonly number[], reader: readonly number[]): void => {
    const strange = list.find((value) => writers.get(value)?.key !== key)
    if (strange !== undefined)
      found.push({ anomaly: 'garbage read', transactions: reader, what: `${strange} in ${key}` })
    if (new Set(list).size < list.length)
      found.push({ anomaly: 'duplicate', transactions: reader, what: `${key} is ${list}` })
  }
  for (const [key, list] of final) look(key, list, [])
  for (const [at, transaction] of history.entries()) {
    if (transaction.outcome !== 'committed') continue
    const own = new Map<string, number[]>()
    for (const step of transaction.steps) {
      if (step.do === 'append') {
        own.set(step.key, [...(own.get(step.key) ?? []), step.value])
        continue
      }
      look(step.key, step.list, [at])
      // Its own appends are behind what was there.
      const others = step.list.slice(0, step.list.length - (own.get(step.key)?.length ?? 0))
      if (!isPrefix(final.get(step.key) ?? [], others))
        found.push({ anomaly: 'incompatible order', transactions: [at], what: `${step.key} was ${step.list}` })
    }
  }
  return found
}

function wrongReads(history: readonly Transaction[], writers: Writers): Found<Anomaly>[] {
  const found: Found<Anomaly>[] = []
  for (const [at, transaction] of history.entries()) {
    if (transaction.outcome !== 'committed') continue
    const known = new Map<string, readonly number[]>()
    const own = new Map<string, readonly number[]>()
    for (const step of transaction.steps) {
      const before = known.get(step.key)
      if (step.do === 'append') {
        own.set(step.key, [...(own.get(step.key) ?? []), step.value])
        if (before !== undefined) known.set(step.key, [...before, step.value])
        continue
      }
      const mine = own.get(step.key) ?? []
      const expected = before ?? [...step.list.slice(0, Math.max(0, step.list.length - mine.length)), ...mine]
      if (expected.join() !== step.list.join())
        found.push({ anomaly: 'internal', transactions: [at], what: `${step.key} was ${step.list}, not ${expected}` })
      known.set(step.key, step.list)
      for (const [index, value] of step.list.entries()) {
        const writer = writers.get(value)
        if (writer === undefined || writer.by === at) continue
        if (history[writer.by]?.outcome === 'aborted')
          found.push({ anomaly: 'aborted read', transactions: [writer.by, at], what: `${value} in ${step.key}` })
        const next = writers.get(step.list[index + 1] ?? Number.NaN)
        if (!writer.last && next?.by !== writer.by)
          found.push({ anomaly: 'intermediate read', transactions: [writer.by, at], what: `${value} in ${step.key}` })
      }
    }
  }
  return found
}

function wrongInTheEnd(history: readonly Transaction[], final: Lists, writers: Writers): Found<Anomaly>[] {
  const found: Found<Anomaly>[] = []
  for (const [key, list] of final) {
    for (const value of list) {
      const { by } = writers.get(value) ?? {}
      if (by !== undefined && history[by]?.outcome === 'aborted')
        found.push({ anomaly: 'aborted read', transactions: [by], what: `${value} in ${key}, in the end` })
    }
  }
  const there = new Map([...final].map(([key, list]) => [key, new Set(list)]))
  for (const [at, { steps, outcome }] of history.entries()) {
    for (const step of steps) {
      if (step.do === 'append' && outcome === 'committed' && !there.get(step.key)?.has(step.value))
        found.push({ anomaly: 'lost append', transactions: [at], what: `${step.value} in ${step.key}` })
    }
  }
  return found
}

function cycles(history: readonly Transaction[], final: Lists, writers: Writers): Found<Anomaly>[] {
  const graph = new Graph<Why>()
  const happened = (at: number): boolean => history[at]?.outcome !== 'aborted'
  for (const list of final.values()) {
    for (const [index, value] of list.entries())
      graph.add(writers.get(value)?.by, writers.get(list[index + 1] ?? Number.NaN)?.by, 'ww')
  }
  for (const [at, transaction] of history.entries()) {
    if (transaction.outcome !== 'committed') continue
    for (const { key, list } of reads(transaction)) {
      const all = final.get(key) ?? []
      const theirs = list.filter((value) => writers.get(value)?.by !== at)
      graph.add(writers.get(theirs.at(-1) ?? Number.NaN)?.by, at, 'wr')
      const next = all.slice(theirs.length).find((value) => writers.get(value)?.by !== at)
      // An edge from its own append already leads to every later writer.
      if (list.length === theirs.length) graph.add(at, writers.get(next ?? Number.NaN)?.by, 'rw')
    }
  }
  addTime(graph, history, happened)
  return classify(graph, history.length)
}
