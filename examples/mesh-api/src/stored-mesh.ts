/** The mesh as the storage has it now. */
import type { MeshStore, MeshTransaction } from './mesh-store.ts'
import { Pathfinder } from './pathfinder/pathfinder.ts'
import { everyLink, linksVersion, namedNodes } from './tables/statements.ts'
import type { Topology } from './topology.ts'

/** The store or a transaction, from which the mesh is read. */
type Reader = Pick<MeshStore | MeshTransaction, 'query' | 'tables'>

async function factsOf({ tables }: Reader): Promise<Pick<Topology, 'label' | 'protocol' | 'metric'>> {
  const facts = new Map((await tables.meshFacts.list()).map(({ name, value }) => [name, value]))
  return {
    label: facts.get('label') ?? 'Mesh',
    protocol: facts.get('protocol') ?? 'unknown',
    metric: facts.get('metric'),
  }
}

/** A pathfinder on the stored links, made anew when they have changed. */
export class StoredLinks {
  #last: { readonly version: string; readonly pathfinder: Pathfinder } | undefined

  async asOfNow(tx: Reader): Promise<Pathfinder> {
    const facts = await factsOf(tx)
    const version = JSON.stringify([facts, await tx.query(linksVersion)])
    if (this.#last?.version === version) return this.#last.pathfinder
    const links = await tx.query(everyLink)
    const nodeIds = [...new Set(links.flatMap(({ source, target }) => [source, target]))]
    const pathfinder = new Pathfinder({ ...facts, nodeIds, links })
    this.#last = { version, pathfinder }
    return pathfinder
  }
}

/** Everything, as of one moment. */
export const storedTopology = (store: MeshStore): Promise<Topology> =>
  store.transaction(
    async (tx) => {
      const nodes = await tx.query(namedNodes)
      return {
        ...(await factsOf(tx)),
        nodeIds: nodes.map(({ id }) => id),
        names: new Map(nodes.flatMap(({ id, label }) => (label === null ? [] : [[id, label]]))),
        links: await tx.query(everyLink),
      }
    },
    { readOnly: true },
  )
