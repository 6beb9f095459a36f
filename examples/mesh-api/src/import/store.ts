/** Stores an imported mesh: its nodes, its links, and what people call them. */
import type { NewMeshNode } from 'meshstore'
import type { MeshStore, MeshTransaction } from '../mesh-store.ts'
import { keyOf } from '../tables/schema.ts'
import type { Link, Topology } from '../topology.ts'

/** Ids that one question may name. */
const AT_ONCE = 10_000
/** A large mesh takes seconds. */
const LIMIT = { timeoutMs: 60_000 }

export interface Imported {
  /** Nodes that were not there before. */
  readonly nodes: number
  readonly links: number
}

/** Adds the nodes that are missing, and adds or replaces links and labels. Nodes that are there stay as they are. */
export const importTopology = (store: MeshStore, topology: Topology): Promise<Imported> =>
  store.transaction((tx) => stored(tx, topology), LIMIT)

/** Imports into an empty mesh. `undefined`: there are nodes already. One of two servers that start at once imports. */
export const importFirst = (store: MeshStore, topology: Topology): Promise<Imported | undefined> =>
  store.transaction(async (tx) => ((await tx.nodes.count()) > 0 ? undefined : stored(tx, topology)), LIMIT)

async function stored(tx: MeshTransaction, topology: Topology): Promise<Imported> {
  const { label, protocol, metric, names = new Map() } = topology
  const known = new Set<string>()
  for (let from = 0; from < topology.nodeIds.length; from += AT_ONCE)
    for (const { nodeId } of await tx.nodes.getMany(topology.nodeIds.slice(from, from + AT_ONCE))) known.add(nodeId)
  const nodes = nodesOf(topology).filter(({ nodeId }) => !known.has(nodeId))
  await tx.nodes.createMany(nodes)
  const links = linksOf(topology)
  await tx.tables.links.saveMany(links)
  await tx.tables.nodeLabels.saveMany(
    [...names].map(([nodeId, value]) => ({ labelId: keyOf(nodeId, 'label'), nodeId, name: 'label', value })),
  )
  const facts = { label, protocol, ...(metric !== undefined && { metric }) }
  await tx.tables.meshFacts.saveMany(Object.entries(facts).map(([name, value]) => ({ name, value })))
  // A new link may better any path.
  await tx.pathCache.clear()
  return { nodes: nodes.length, links: links.length }
}

/** Keeps the cheapest of several links from one node to another. */
function linksOf({ links }: Topology) {
  const cheapest = new Map<string, Link>()
  for (const link of links) {
    const key = keyOf(link.source, link.target)
    const known = cheapest.get(key)
    if (known === undefined || known.cost > link.cost) cheapest.set(key, link)
  }
  return [...cheapest].map(([linkId, { source, target, cost, kind }]) => ({
    linkId,
    source,
    target,
    cost,
    kind: kind ?? null,
  }))
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
