/**
 * The next best routes, whatever they share with the others: to some link by the shortest route, over it, and on by the
 * shortest route from there. In a mesh that works both ways the second shortest of all is one of them (Katoh, Ibaraki and Mine 1982).
 */

import type { Usable } from './filter.ts'
import { Frontier } from './frontier.ts'
import type { MeshGraph } from './mesh-graph.ts'
import { type Route, routeTo, type Tree } from './shortest.ts'

/** Most of them repeat a route or cross themselves: so many are looked at. */
const LOOKED_AT = 500

export function alternativeRoutes(
  mesh: MeshGraph,
  { there, back }: { readonly there: Tree; readonly back: Tree },
  known: readonly Route[],
  count: number,
  usable: Usable,
): Route[] {
  const seen = new Set(known.map(nameOf))
  const found: Route[] = []
  const candidates = candidatesBy(mesh, there, back, usable)
  for (let looked = 0; looked < LOOKED_AT && found.length < count; looked++) {
    const next = candidates.take()
    if (next === undefined) break
    const route = routeOver(mesh, there, back, next)
    if (route === undefined || seen.has(nameOf(route))) continue
    seen.add(nameOf(route))
    found.push(route)
  }
  return found
}

const nameOf = ({ links }: Route): string => links.join()

/** Each link in each direction, numbered 2n and 2n + 1, in the order of what the whole route weighs. */
function candidatesBy({ links }: MeshGraph, there: Tree, back: Tree, usable: Usable): Frontier {
  const candidates = new Frontier()
  for (const [link, { ends, weight }] of links.entries()) {
    if (!usable.links[link]) continue
    for (const [way, [from, to]] of [ends, [ends[1], ends[0]] as const].entries()) {
      // A route that is the shortest way to its end is known by a later link, or is the shortest of all.
      if (there.lastLink[to] === link) continue
      const total = (there.distance[from] ?? 0) + weight + (back.distance[to] ?? 0)
      if (total < Number.POSITIVE_INFINITY) candidates.add(2 * link + way, total)
    }
  }
  return candidates
}

/** `undefined` if it would cross itself. */
function routeOver({ links }: MeshGraph, there: Tree, back: Tree, candidate: number): Route | undefined {
  const link = candidate >> 1
  const { ends } = links[link] ?? { ends: [0, 0] as const }
  const [from, to] = candidate % 2 === 0 ? ends : [ends[1], ends[0]]
  const begin = routeTo(there, from)
  const end = routeTo(back, to)
  if (begin === undefined || end === undefined) return undefined
  const nodes = [...begin.nodes, ...end.nodes.toReversed()]
  if (new Set(nodes).size < nodes.length) return undefined
  return { nodes, links: [...begin.links, link, ...end.links.toReversed()] }
}
