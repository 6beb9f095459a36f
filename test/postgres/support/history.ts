/**
 * Whether there is an order, one after the other, in which what was seen could have been seen, and in which nothing comes
 * before what was over when it began. There is none if and only if the graph of what must come before what has a cycle
 * (Adya's serialization graph, with the order of time added).
 */
export interface Version {
  readonly id: string
  /** Orders the versions of a row: the larger is later. */
  readonly order: number
}

/** A transaction, or a statement by itself, that was acknowledged. */
export interface Happened {
  readonly what: string
  readonly begun: number
  readonly ended: number
  /** The versions of others that it saw. */
  readonly reads: readonly Version[]
  readonly writes: readonly Version[]
}

/** How many cannot be put into any order. */
export function disordered(history: readonly Happened[]): number {
  const graph = new Graph()
  addRows(graph, history)
  addTime(graph, history)
  return graph.inCycles().filter((each) => each < history.length).length
}

interface Written {
  readonly order: number
  readonly by: number
}
type Rows = ReadonlyMap<string, readonly Written[]>

function versionsOf(history: readonly Happened[]): Rows {
  const rows = new Map<string, Written[]>()
  for (const [by, { writes }] of history.entries()) {
    for (const { id, order } of writes) rows.set(id, [...(rows.get(id) ?? []), { order, by }])
  }
  for (const versions of rows.values()) versions.sort((a, b) => a.order - b.order)
  return rows
}

/** The writer of a version comes before its readers, and both before the writer of the next version. */
function addRows(graph: Graph, history: readonly Happened[]): void {
  const rows = versionsOf(history)
  for (const versions of rows.values()) {
    for (const [index, { by }] of versions.entries()) graph.add(by, versions[index + 1]?.by)
  }
  for (const [reader, { reads }] of history.entries()) {
    for (const { id, order } of reads) {
      const versions = rows.get(id) ?? []
      const next = firstAfter(versions, order)
      // Before the first one there is what was there at the beginning.
      graph.add(versions[next - 1]?.by, reader)
      graph.add(reader, versions[next]?.by)
    }
  }
}

/** A chain of moments, one for each end: what has ended comes before its moment, and that before what begins later. */
function addTime(graph: Graph, history: readonly Happened[]): void {
  const byEnd = [...history.entries()].sort(([, a], [, b]) => a.ended - b.ended)
  const byBeginning = [...history.entries()].sort(([, a], [, b]) => a.begun - b.begun)
  const moment = (index: number): number => history.length + index
  for (const [index, [at]] of byEnd.entries()) {
    graph.add(at, moment(index))
    if (index > 0) graph.add(moment(index - 1), moment(index))
  }
  let over = 0
  for (const [at, { begun }] of byBeginning) {
    while ((byEnd[over]?.[1].ended ?? Number.POSITIVE_INFINITY) < begun) over++
    if (over > 0) graph.add(moment(over - 1), at)
  }
}

type Edges = Map<number, Set<number>>

class Graph {
  readonly #after: Edges = new Map()
  readonly #before: Edges = new Map()

  add(from: number | undefined, to: number | undefined): void {
    if (from === undefined || to === undefined || from === to) return
    for (const [edges, a, b] of [
      [this.#after, from, to],
      [this.#before, to, from],
    ] as const) {
      const known = edges.get(a)
      if (known === undefined) edges.set(a, new Set([b]))
      else known.add(b)
    }
  }

  /** The nodes in a cycle, or between two. */
  inCycles(): number[] {
    const before = behindCycles(this.#before)
    return [...behindCycles(this.#after)].filter((each) => before.has(each))
  }
}

/** Removes nodes without predecessors again and again, and returns those left. */
function behindCycles(edges: Edges): Set<number> {
  const before = new Map<number, number>()
  for (const from of edges.keys()) before.set(from, 0)
  for (const successors of edges.values()) {
    for (const to of successors) before.set(to, (before.get(to) ?? 0) + 1)
  }
  const free = [...before.keys()].filter((each) => before.get(each) === 0)
  for (let from = free.pop(); from !== undefined; from = free.pop()) {
    before.delete(from)
    for (const to of edges.get(from) ?? []) {
      const count = (before.get(to) ?? 0) - 1
      before.set(to, count)
      if (count === 0) free.push(to)
    }
  }
  return new Set(before.keys())
}

function firstAfter(versions: readonly Written[], order: number): number {
  let from = 0
  let to = versions.length
  while (from < to) {
    const middle = (from + to) >> 1
    if ((versions[middle]?.order ?? 0) <= order) from = middle + 1
    else to = middle
  }
  return from
}
