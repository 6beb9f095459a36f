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
  /** The last step to each node: over this link, from that node; -1 where there is none. */
  readonly lastLink: Int32Array
  readonly lastFrom: Int32Array
}

/** The cost of a link from this node to that one, 0 or more; infinite where it must not be used. */
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
  const lastLink = new Int32Array(ids.length).fill(-1)
  const lastFrom = new Int32Array(ids.length).fill(-1)
  const tree: Tree = { from, distance, lastLink, lastFrom }
  if (!usable.nodes[from]) return tree
  const settled = new Uint8Array(ids.length)
  const frontier = new Frontier()
  distance[from] = 0
  frontier.add(from, 0)
  for (let node = frontier.take(); node !== undefined; node = frontier.take()) {
    if (node === until) break
    if (settled[node]) continue
    settled[node] = 1
    const sofar = frontier.cost
    for (const { to, link } of arcs[node] ?? []) {
      if (settled[to] || !usable.links[link] || !usable.nodes[to]) continue
      const reached = sofar + cost(link, node, to)
      if (reached < (distance[to] ?? 0)) {
        distance[to] = reached
        lastLink[to] = link
        lastFrom[to] = node
        frontier.add(to, reached)
      }
    }
  }
  return tree
}

/** `undefined` if the node was not reached. */
export function routeTo({ from, distance, lastLink, lastFrom }: Tree, to: number): Route | undefined {
  if (distance[to] === Number.POSITIVE_INFINITY) return undefined
  const nodes = [to]
  const links: number[] = []
  for (let at = to; at !== from; ) {
    links.push(lastLink[at] ?? 0)
    at = lastFrom[at] ?? from
    nodes.push(at)
  }
  return { nodes: nodes.reverse(), links: links.reverse() }
}
