/** The topology's nodes in the storage. */
import type { Meshstore, NewMeshNode } from 'meshstore'
import type { Topology } from './topology.ts'

/** Ids that one question may name. */
const AT_ONCE = 10_000

/**
 * Stores them if none of them is there: what was changed or deleted since then stays so at the next start. Returns how many
 * were stored.
 */
export async function storeFirstNodes(store: Meshstore, topology: Topology): Promise<number> {
  const nodes = nodesOf(topology)
  // Of two servers that start at once one stores them: the other's transaction sees that they are there.
  return store.transaction(
    async (tx) => {
      for (let from = 0; from < nodes.length; from += AT_ONCE) {
        const ids = nodes.slice(from, from + AT_ONCE).map(({ nodeId }) => nodeId)
        if ((await tx.nodes.getMany(ids)).length > 0) return 0
      }
      await tx.nodes.createMany(nodes)
      return nodes.length
    },
    { timeoutMs: 60_000 },
  )
}

/** Links of one kind share an interface that is named after it (`wifi0`); a link of no kind has one to itself (`if0`). */
function nodesOf({ nodeIds, links, protocol }: Topology): NewMeshNode[] {
  const interfaces = new Map(nodeIds.map((id) => [id, new Set<string>()]))
  for (const { source, target, kind } of links) {
    for (const id of [source, target]) {
      const names = interfaces.get(id)
      names?.add(kind === undefined ? `if${names.size}` : `${kind}0`)
    }
  }
  return [...interfaces].map(([nodeId, names]) => ({
    nodeId,
    interfaces: [...names],
    protocols: [protocol],
    started: names.size > 0,
  }))
}
