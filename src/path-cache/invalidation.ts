/** Matches invalidations by node against the nodes on a cached path. */
import type { PathBundle } from '../schema/index.ts'

/** A path with more pending invalidations than this counts as invalidated: the sweep is long overdue. */
export const MAX_PENDING_PER_PATH = 500

/** In milliseconds. The result of a longer computation is not stored: its later invalidations may have been purged. */
export const LONGEST_COMPUTATION_MS = 600_000

interface Paths {
  readonly source: string
  readonly destination: string
  readonly bundle: unknown
}

/** `invalidations`: `through` of each one that concerns the paths by their ends, as JSON; `null` if there is none. */
export function isInvalidated(invalidations: string | null, paths: Paths): boolean {
  if (invalidations === null) return false
  const through = JSON.parse(invalidations) as readonly (string | null)[]
  if (through.length >= MAX_PENDING_PER_PATH || through.includes(null)) return true
  const nodes = nodesOn(paths)
  return nodes === undefined || through.some((node) => node !== null && nodes.has(node))
}

/** The nodes that the paths lead from, to and by way of. `undefined` for a bundle of another form. */
export function nodesOn({ source, destination, bundle }: Paths): ReadonlySet<string> | undefined {
  const nodes = new Set([source, destination])
  const { primary, alternatives = [] } = (bundle ?? {}) as Partial<PathBundle>
  for (const paths of [primary, alternatives]) {
    if (!Array.isArray(paths)) return undefined
    for (const path of paths) {
      if (!Array.isArray(path?.nodes)) return undefined
      for (const node of path.nodes) nodes.add(node)
    }
  }
  return nodes
}

/** `undefined` if the text is not JSON: another program wrote it. */
export function parsed(bundle: unknown): unknown {
  try {
    return JSON.parse(String(bundle))
  } catch {
    return undefined
  }
}
