/**
 * Paths for the demo: the shortest one, then the shortest one without the links of those before it. That is no more
 * than a rule of thumb: another first path may leave room for more.
 */
import type { Path, PathBundle, PathKey } from '../../src/index.ts'
import type { Topology } from './topology.ts'

/** What this application adds to a bundle. */
export interface MeshBundle extends PathBundle {
  /** Seconds since the epoch. */
  readonly generated_at: number
  readonly stats: { readonly calc_latency_ms: number }
}

interface Edge {
  readonly to: number
  readonly cost: number
  /** The same for both directions. */
  readonly link: number
}

export class PathFinder {
  readonly #ids: string[] = []
  readonly #numbers = new Map<string, number>()
  readonly #edges: Edge[][] = []
  readonly #metric: string | undefined

  /** Links work in both directions. */
  constructor({ links, metric }: Pick<Topology, 'links' | 'metric'>) {
    this.#metric = metric
    for (const [link, { source, target, cost }] of links.entries()) {
      const [from, to] = [this.#numberOf(source), this.#numberOf(target)]
      this.#edges[from]?.push({ to, cost, link })
      this.#edges[to]?.push({ to: from, cost, link })
    }
  }

  #numberOf(id: string): number {
    const known = this.#numbers.get(id)
    if (known !== undefined) return known
    const number = this.#ids.push(id) - 1
    this.#numbers.set(id, number)
    this.#edges.push([])
    return number
  }

  /** Up to `k` paths that share no link; none if nothing connects the two. */
  find({ source, destination, k }: PathKey): MeshBundle {
    const begun = performance.now()
    const primary: Path[] = []
    const used = new Set<number>()
    while (primary.length < k) {
      const found = this.#shortest(source, destination, used)
      if (found === undefined) break
      for (const link of found.links) used.add(link)
      primary.push({
        nodes: found.nodes,
        total_weight: found.cost,
        ...(this.#metric === 'latency_ms' ? { latency_sum_ms: found.cost } : {}),
        disjoint_group: primary.length,
      })
    }
    return {
      source,
      destination,
      primary,
      generated_at: Date.now() / 1000,
      stats: { calc_latency_ms: performance.now() - begun },
    }
  }

  /** Dijkstra's algorithm, which ends at the destination. */
  #shortest(source: string, destination: string, without: ReadonlySet<number>) {
    const [from, to] = [this.#numbers.get(source), this.#numbers.get(destination)]
    if (from === undefined || to === undefined || from === to) return undefined
    const costs = new Float64Array(this.#ids.length).fill(Number.POSITIVE_INFINITY)
    const arrivals: ({ readonly from: number; readonly link: number } | undefined)[] = []
    const frontier = new Frontier()
    costs[from] = 0
    frontier.add(from, 0)
    for (let next = frontier.take(); next !== undefined; next = frontier.take()) {
      if (next.node === to) return { cost: next.cost, ...this.#walkBack(to, arrivals) }
      if (next.cost > (costs[next.node] ?? 0)) continue
      for (const edge of this.#edges[next.node] ?? []) {
        const cost = next.cost + edge.cost
        if (without.has(edge.link) || cost >= (costs[edge.to] ?? 0)) continue
        costs[edge.to] = cost
        arrivals[edge.to] = { from: next.node, link: edge.link }
        frontier.add(edge.to, cost)
      }
    }
    return undefined
  }

  #walkBack(to: number, arrivals: readonly ({ readonly from: number; readonly link: number } | undefined)[]) {
    const nodes = [this.#ids[to] ?? '']
    const links: number[] = []
    for (let arrival = arrivals[to]; arrival !== undefined; arrival = arrivals[arrival.from]) {
      nodes.push(this.#ids[arrival.from] ?? '')
      links.push(arrival.link)
    }
    return { nodes: nodes.reverse(), links }
  }
}

/** The nodes that are reached but not settled, the nearest first: a binary heap. */
class Frontier {
  readonly #heap: { readonly node: number; readonly cost: number }[] = []

  add(node: number, cost: number): void {
    const heap = this.#heap
    let at = heap.push({ node, cost }) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!this.#isBefore(at, above)) return
      this.#swap(at, above)
      at = above
    }
  }

  take(): { readonly node: number; readonly cost: number } | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < heap.length && this.#isBefore(left, least)) least = left
      if (right < heap.length && this.#isBefore(right, least)) least = right
      if (least === at) return first
      this.#swap(at, least)
      at = least
    }
  }

  #isBefore(a: number, b: number): boolean {
    return (this.#heap[a]?.cost ?? 0) < (this.#heap[b]?.cost ?? 0)
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap
    const [one, other] = [heap[a], heap[b]]
    if (one === undefined || other === undefined) return
    heap[a] = other
    heap[b] = one
  }
}

/** Ordered pairs of different nodes: all of them, or so many that lie evenly among all. */
export function pairsOf(nodeIds: readonly string[], limit: number): { source: string; destination: string }[] {
  const others = nodeIds.length - 1
  const all = nodeIds.length * others
  const count = Math.min(limit, all)
  return Array.from({ length: count }, (_, n) => {
    const pair = Math.floor((n * all) / count)
    const from = Math.floor(pair / others)
    const to = pair % others
    const source = nodeIds[from] ?? ''
    const destination = nodeIds[to < from ? to : to + 1] ?? ''
    return { source, destination }
  })
}
