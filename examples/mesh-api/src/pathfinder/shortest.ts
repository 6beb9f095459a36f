/** Dijkstra's algorithm. */

import type { Usable } from './filter.ts'
import { Frontier } from './frontier.ts'
import type { MeshGraph } from './mesh-graph.ts'

/** A way through the mesh; `links[n]` leads from `nodes[n]` to the next. */
export interface Route {
  readonly nodes: readonly number[]
  readonly links: readonly number[]
}

/** The shortest routes from one node to the others. */
export interface Tree {
  readonly from: number
  /** Infinite for a node that was not reached. */
  readonly distance: Float64Array
  /** The last step to each node. */
  readonly last: readonly ({ readonly from: number; readonly link: number } | undefined)[]
}

/** What it costs to use a link from this node to that one, 0 or more; infinite where it must not be used. */
export type Cost = (link: number, from: number, to: number) => number

/** With `until`, it ends there, and what lies further away has at best a distance that is no shorter. */
export function shortestTree(
  { ids, arcs }: MeshGraph,
  from: number,
  usable: Usable,
  cost: Cost,
  until?: number | undefined,
): Tree {
  const distance = new Float64Array(ids.length).fill(Number.POSITIVE_INFINITY)
  const last: ({ readonly from: number; readonly link: number } | undefined)[] = new Array(ids.length)
  if (!usable.nodes[from]) return { from, distance, last }
  const settled = new Uint8Array(ids.length)
  const frontier = new Frontier()
  distance[from] = 0
  frontier.add(from, 0)
  for (let next = frontier.take(); next !== undefined; next = frontier.take()) {
    const { node } = next
    if (node === until) break
    if (settled[node]) continue
    settled[node] = 1
    for (const { to, link } of arcs[node] ?? []) {
      if (settled[to] || !usable.links[link] || !usable.nodes[to]) continue
      const reached = next.cost + cost(link, node, to)
      if (reached < (distance[to] ?? 0)) {
        distance[to] = reached
        last[to] = { from: node, link }
        frontier.add(to, reached)
      }
    }
  }
  return { from, distance, last }
}

/** `undefined` if the node was not reached. */
export function routeTo({ from, distance, last }: Tree, to: number): Route | undefined {
  if (distance[to] === Number.POSITIVE_INFINITY) return undefined
  const nodes = [to]
  const links: number[] = []
  for (let at = to; at !== from; ) {
    const step = last[at]
    if (step === undefined) return undefined
    nodes.push(step.from)
    links.push(step.link)
    at = step.from
  }
  return { nodes: nodes.reverse(), links: links.reverse() }
}
