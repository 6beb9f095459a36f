/** The nodes and links that a search may use: the nodes that are up, and of them and their links what the policies allow. */
import type { MeshGraph } from './mesh-graph.ts'

/** By number. */
export interface Usable {
  readonly nodes: readonly boolean[]
  readonly links: readonly boolean[]
}

/** The decisions of the policies. */
export interface MayUse {
  node(nodeId: string): boolean
  link(one: string, other: string): boolean
  /** Routes of this protocol. */
  route(protocol: string): boolean
}

export function filtered(
  { ids, links, protocol }: MeshGraph,
  isUp: (nodeId: string) => boolean = () => true,
  mayUse?: MayUse | undefined,
): { usable: Usable; policyFiltered: number } {
  let policyFiltered = 0
  const allowed = (may: boolean): boolean => {
    if (!may) policyFiltered++
    return may
  }
  const nodes = ids.map((id) => allowed(mayUse?.node(id) ?? true) && isUp(id))
  const routes = mayUse?.route(protocol) ?? true
  const linkAllowed = links.map(({ ends: [one, other] }) =>
    allowed(routes && (mayUse?.link(ids[one] ?? '', ids[other] ?? '') ?? true)),
  )
  return { usable: { nodes, links: linkAllowed }, policyFiltered }
}
