/**
 * One path through the mesh. Only `nodes` is required; the metrics are those that a pathfinder computes, and an
 * application's own interface may extend this one.
 */
export interface Path {
  /** Node ids from source to destination, both included. */
  readonly nodes: readonly string[]
  readonly path_id?: string | undefined
  readonly total_weight?: number | undefined
  /** Lower is better. */
  readonly composite_score?: number | undefined
  readonly capacity_min?: number | undefined
  /** Milliseconds, summed over the links. */
  readonly latency_sum_ms?: number | undefined
  /** 0–1, multiplied over the links. */
  readonly reliability_product?: number | undefined
  readonly bandwidth_min_mbps?: number | undefined
  readonly disjoint_group?: number | undefined
}

/** The cached value of a source, a destination and a `k`: up to `k` disjoint paths, and alternatives to them. */
export interface PathBundle {
  readonly source: string
  readonly destination: string
  readonly primary: readonly Path[]
  readonly alternatives?: readonly Path[] | undefined
}

/** The key of a cached bundle. */
export interface PathKey {
  readonly source: string
  readonly destination: string
  /** The number of requested disjoint paths: 1–1,000. */
  readonly k: number
}

const escaped = (id: string): string =>
  id.includes('%') || id.includes(':') ? id.replaceAll('%', '%25').replaceAll(':', '%3A') : id

/**
 * `"{source}:{destination}:{k}"`, with `%` and `:` in the ids percent-encoded: mesh ids are MACs and IPv6 addresses,
 * and unescaped `1::2` → `3:4::5` and `1::2:3` → `4::5` would share a key.
 */
export const cacheKey = (key: PathKey): string => `${escaped(key.source)}:${escaped(key.destination)}:${key.k}`

/** The range of cache keys of a source, or of a source and a destination. `;` follows `:`. */
export function keysOf(source: string, destination?: string): { readonly after: string; readonly before: string } {
  const prefix = destination === undefined ? escaped(source) : `${escaped(source)}:${escaped(destination)}`
  return { after: `${prefix}:`, before: `${prefix};` }
}
