/** The mesh as a graph, and as arrays of numbers made from it, which a search walks several times faster. */
import { UndirectedGraph } from 'graphology'
import type { Topology } from '../topology.ts'

export interface MeshLink {
  readonly weight: number
  readonly latencyMs: number | undefined
  /** 0–1: how much of what is sent arrives. */
  readonly reliability: number | undefined
}

/** A way out of a node. */
export interface Arc {
  readonly to: number
  readonly link: number
}

export class MeshGraph {
  readonly graph = new UndirectedGraph<{ label: string }, MeshLink>()
  readonly protocol: string
  /** By number. */
  readonly ids: readonly string[]
  readonly links: readonly (MeshLink & { readonly ends: readonly [number, number] })[]
  readonly arcs: readonly (readonly Arc[])[]
  readonly #numbers: ReadonlyMap<string, number>

  /** Links work in both directions. The cheapest of several between the same two nodes counts: policies name them as one. */
  constructor({ nodeIds, links, metric, protocol, names }: Topology) {
    this.protocol = protocol
    const graph = this.graph
    for (const id of nodeIds) graph.addNode(id, { label: names?.get(id) ?? id })
    for (const { source, target, cost } of links) {
      if (source === target) continue
      const known = graph.edge(source, target)
      if (known === undefined) graph.addEdge(source, target, attributesOf(cost, metric))
      else if (graph.getEdgeAttribute(known, 'weight') > cost) {
        graph.replaceEdgeAttributes(known, attributesOf(cost, metric))
      }
    }
    this.ids = graph.nodes()
    const numbers = new Map(this.ids.map((id, number) => [id, number]))
    this.#numbers = numbers
    this.links = graph.mapEdges((_, attributes, source, target) => ({
      ...attributes,
      ends: [numbers.get(source) ?? 0, numbers.get(target) ?? 0],
    }))
    const arcs: Arc[][] = this.ids.map(() => [])
    for (const [link, { ends }] of this.links.entries()) {
      arcs[ends[0]]?.push({ to: ends[1], link })
      arcs[ends[1]]?.push({ to: ends[0], link })
    }
    this.arcs = arcs
  }

  numberOf(id: string): number | undefined {
    return this.#numbers.get(id)
  }
}

/** A cost of 1/TQ is the number of times that something is sent until it arrives. */
const attributesOf = (cost: number, metric: string | undefined): MeshLink => ({
  weight: cost,
  latencyMs: metric === 'latency_ms' ? cost : undefined,
  reliability: metric === '1/TQ' ? Math.min(1, 1 / cost) : undefined,
})
