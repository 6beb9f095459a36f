/**
 * Up to `k` routes that share no link and weigh least in sum: a flow of least cost, found by successive shortest paths
 * (Suurballe 1974; Bhandari, "Survivable Networks", 1999). A later route may run back over a link of an earlier one, which
 * takes it from both. Removing the shortest route and searching again, as a greedy search does, may find fewer or heavier ones.
 */

import type { Usable } from './filter.ts'
import type { MeshGraph } from './mesh-graph.ts'
import { type Route, routeTo, shortestTree, type Tree } from './shortest.ts'

/** `tree` holds the shortest routes from where these begin. If fewer than `k` exist, all of them. */
export function disjointRoutes(mesh: MeshGraph, tree: Tree, to: number, k: number, usable: Usable): Route[] {
  const { from } = tree
  const flow = new Flow(mesh)
  // They make every cost in the remaining network 0 or more, so that Dijkstra's algorithm may go on (Johnson 1977).
  const potential = new Float64Array(mesh.ids.length)
  let found = tree
  for (let routes = 0; routes < k; routes++) {
    const route = routeTo(found, to)
    if (route === undefined) break
    const farthest = found.distance[to] ?? 0
    // A search that ended at `to` knows no more of what is farther away.
    for (let node = 0; node < potential.length; node++)
      potential[node] = (potential[node] ?? 0) + Math.min(found.distance[node] ?? farthest, farthest)
    flow.add(route)
    if (routes + 1 === k) break
    const cost = (link: number, at: number, next: number): number =>
      // A cost that rounding leaves below 0 is 0.
      Math.max(0, flow.cost(link, at) + (potential[at] ?? 0) - (potential[next] ?? 0))
    found = shortestTree(mesh, from, usable, cost, to)
  }
  return flow.routes(from, to)
}

/** Which way each link is used, if it is. */
class Flow {
  readonly #mesh: MeshGraph
  /** The node that the link is left from. */
  readonly #leaves: (number | undefined)[]

  constructor(mesh: MeshGraph) {
    this.#mesh = mesh
    this.#leaves = new Array(mesh.links.length)
  }

  /** To use it once more, from this node; to take it back pays. */
  cost(link: number, from: number): number {
    const weight = this.#mesh.links[link]?.weight ?? 0
    const leaves = this.#leaves[link]
    if (leaves === undefined) return weight
    return leaves === from ? Number.POSITIVE_INFINITY : -weight
  }

  add({ nodes, links }: Route): void {
    for (const [step, link] of links.entries()) {
      this.#leaves[link] = this.#leaves[link] === undefined ? nodes[step] : undefined
    }
  }

  /** The flow as routes. */
  routes(from: number, to: number): Route[] {
    const routes: Route[] = []
    for (let route = this.#take(from, to); route !== undefined; route = this.#take(from, to)) routes.push(route)
    return routes
  }

  #take(from: number, to: number): Route | undefined {
    const nodes = [from]
    const links: number[] = []
    for (let at = from; at !== to; ) {
      const arc = this.#mesh.arcs[at]?.find(({ link }) => this.#leaves[link] === at)
      if (arc === undefined) return undefined
      this.#leaves[arc.link] = undefined
      // A loop between two visits of a node weighs nothing: it is left out.
      const met = nodes.indexOf(arc.to)
      if (met >= 0) {
        nodes.length = met + 1
        links.length = met
      } else {
        nodes.push(arc.to)
        links.push(arc.link)
      }
      at = arc.to
    }
    return { nodes, links }
  }
}
