/** Finds the best paths by looking at all of them: no cleverness that could be wrong in the same way. */
import type { Topology } from '../../src/topology.ts'

export interface SimplePath {
  readonly nodes: readonly string[]
  readonly links: readonly number[]
  readonly weight: number
}

/** Every path that visits no node twice. */
export function everySimplePath({ links }: Topology, source: string, destination: string): SimplePath[] {
  const found: SimplePath[] = []
  const walk = (nodes: readonly string[], used: readonly number[], weight: number): void => {
    const at = nodes.at(-1)
    if (at === destination) {
      found.push({ nodes, links: used, weight })
      return
    }
    for (const [number, { source: a, target: b, cost }] of links.entries()) {
      if (a !== at && b !== at) continue
      const next = a === at ? b : a
      if (!nodes.includes(next)) walk([...nodes, next], [...used, number], weight + cost)
    }
  }
  walk([source], [], 0)
  return found.toSorted((a, b) => a.weight - b.weight)
}

/** How many paths that share no link there are, up to `k`, and what so many weigh at least. */
export function leastDisjoint(paths: readonly SimplePath[], k: number): { count: number; weight: number } {
  let best = { count: 0, weight: 0 }
  const choose = (from: number, used: ReadonlySet<number>, count: number, weight: number): void => {
    if (count > best.count || (count === best.count && weight < best.weight)) best = { count, weight }
    if (count === k) return
    for (let at = from; at < paths.length; at++) {
      const path = paths[at]
      if (path === undefined || path.links.some((link) => used.has(link))) continue
      choose(at + 1, new Set([...used, ...path.links]), count + 1, weight + path.weight)
    }
  }
  choose(0, new Set(), 0, 0)
  return best
}
