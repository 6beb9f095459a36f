/** The bundles that this application keeps in the path cache. */
import { createHash } from 'node:crypto'
import type { Path, PathBundle } from 'meshstore'
import type { MeshGraph } from './mesh-graph.ts'
import type { Route } from './shortest.ts'

export interface MeshPath extends Path {
  /** The same nodes, the same id. */
  readonly path_id: string
  readonly total_weight: number
  readonly composite_score: number
  /** Primary paths of different groups share no link; alternatives are in none. */
  readonly disjoint_group?: number
  /** ISO 8601. */
  readonly created_at: string
}

export interface MeshBundle extends PathBundle {
  readonly primary: readonly MeshPath[]
  readonly alternatives: readonly MeshPath[]
  /** Seconds since the epoch. */
  readonly generated_at: number
  readonly stats: {
    readonly calc_latency_ms: number
    /** Nodes and links that the policies keep out. */
    readonly policy_filtered: number
  }
}

/** The best first, by their score. */
export function scored(mesh: MeshGraph, routes: readonly Route[], found: Date): MeshPath[] {
  return routes
    .map((route) => pathOf(mesh, route, found))
    .toSorted((a, b) => a.composite_score - b.composite_score || a.nodes.length - b.nodes.length)
}

function pathOf(mesh: MeshGraph, { nodes, links }: Route, found: Date): MeshPath {
  const ids = nodes.map((node) => mesh.ids[node] ?? '')
  const along = links.flatMap((link) => mesh.links[link] ?? [])
  const total_weight = sum(along.map(({ weight }) => weight))
  const latencies = along.flatMap(({ latencyMs }) => latencyMs ?? [])
  const reliabilities = along.flatMap(({ reliability }) => reliability ?? [])
  const reliability_product = reliabilities.reduce((product, each) => product * each, 1)
  return {
    nodes: ids,
    path_id: createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 16),
    total_weight,
    composite_score: scoreOf(total_weight, reliability_product),
    // A path has a sum only if the map says it of every link.
    ...(latencies.length === along.length ? { latency_sum_ms: sum(latencies) } : {}),
    ...(reliabilities.length === along.length ? { reliability_product } : {}),
    created_at: found.toISOString(),
  }
}

/** Lower is better: the weight, up to doubled where little of what is sent arrives. */
const scoreOf = (weight: number, reliability: number): number => weight * (2 - reliability)

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)
