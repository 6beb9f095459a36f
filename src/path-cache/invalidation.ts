/** Which cached paths a mark invalidates: the part of it that needs the nodes on the paths. */
import type { PathBundle } from '../schema/index.ts'

/** A path that more marks concern than this counts as invalidated: it was to be swept long ago. */
export const MOST_MARKS = 500

/** Computations that take longer are not stored: the marks that they would have to heed may be gone. In milliseconds. */
export const LONGEST_COMPUTATION_MS = 600_000

interface Paths {
  readonly source: string
  readonly destination: string
  readonly bundle: unknown
}

/** `marks`: `through` of each mark that concerns the paths, as JSON, or `null` if there is none. */
export function isInvalidated(marks: string | null, paths: Paths): boolean {
  if (marks === null) return false
  const through = JSON.parse(marks) as readonly (string | null)[]
  if (through.length >= MOST_MARKS || through.includes(null)) return true
  const nodes = nodesOn(paths)
  return nodes === undefined || through.some((node) => node !== null && nodes.has(node))
}

/** The nodes that the paths lead from, to and by way of. `undefined` for a bundle of somebody's that says it in another way. */
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
