/** Finds the paths between two nodes: those that share no link, and alternatives to them. It knows no storage. */
import type { PathKey } from 'meshstore'
import type { Topology } from '../topology.ts'
import { alternativeRoutes } from './alternatives.ts'
import { type MeshBundle, scored } from './bundle.ts'
import { disjointRoutes } from './disjoint.ts'
import { filtered, type MayUse, type Usable } from './filter.ts'
import { MeshGraph } from './mesh-graph.ts'
import { type Route, shortestTree } from './shortest.ts'

export interface Question extends PathKey {
  /** Nodes that are up; all of them by default. */
  readonly isUp?: ((nodeId: string) => boolean) | undefined
  /** The decisions of the policies; everything is allowed by default. */
  readonly mayUse?: MayUse | undefined
  readonly now?: Date | undefined
}

export class Pathfinder {
  readonly mesh: MeshGraph

  constructor(topology: Topology) {
    this.mesh = new MeshGraph(topology)
  }

  /** Up to `k` paths that share no link, of least total weight, and up to `k` alternatives; none if nothing connects the two. */
  find({ source, destination, k, isUp, mayUse, now = new Date() }: Question): MeshBundle {
    const begun = performance.now()
    const { usable, policyFiltered } = filtered(this.mesh, isUp, mayUse)
    const { primary, alternatives } = this.#routes({ source, destination, k }, usable)
    return {
      source,
      destination,
      primary: scored(this.mesh, primary, now).map((path, index) => ({ ...path, disjoint_group: index + 1 })),
      alternatives: scored(this.mesh, alternatives, now),
      generated_at: now.getTime() / 1000,
      stats: { calc_latency_ms: performance.now() - begun, policy_filtered: policyFiltered },
    }
  }

  #routes({ source, destination, k }: PathKey, usable: Usable): Record<'primary' | 'alternatives', readonly Route[]> {
    const { mesh } = this
    const [from, to] = [mesh.numberOf(source), mesh.numberOf(destination)]
    if (from === undefined || to === undefined || from === to) return { primary: [], alternatives: [] }
    const weight = (link: number): number => mesh.links[link]?.weight ?? 0
    const there = shortestTree(mesh, from, usable, weight)
    const back = shortestTree(mesh, to, usable, weight)
    const primary = disjointRoutes(mesh, there, to, k, usable)
    return { primary, alternatives: alternativeRoutes(mesh, { there, back }, primary, k, usable) }
  }
}
