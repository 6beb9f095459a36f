/** A mesh as an importer reads it, and as it is stored. */
export interface Link {
  readonly source: string
  readonly target: string
  /** The cost, which the pathfinder keeps small: 0 or more. */
  readonly cost: number
  /** Like `wifi` or `vpn`, where the map says so. */
  readonly kind?: string | undefined
}

export interface Topology {
  readonly label: string
  /** The protocol of all of its links: `batman-adv`, `static`, … */
  readonly protocol: string
  /** The meaning of a link's cost: `latency_ms`, `1/TQ`, … */
  readonly metric?: string | undefined
  readonly nodeIds: readonly string[]
  readonly links: readonly Link[]
  /** The names that people give the nodes, where the map says so. */
  readonly names?: ReadonlyMap<string, string>
}

/** A file that holds no topology; the message says where and why. */
export class TopologyError extends Error {}
