/** Paths between two nodes: from the storage's cache, or found as nodes and policies are now, and cached for 30 seconds. */
import { type Meshstore, type PathKey, policyDocuments, type ResolvedPaths } from 'meshstore'
import type { MeshBundle } from './pathfinder/bundle.ts'
import type { Pathfinder } from './pathfinder/pathfinder.ts'
import { missingNodes, StoredPolicies, stoppedNodes } from './states.ts'

export const TTL_SECONDS = 30

/** Paths were asked for from or to a node that is not there. */
export class UnknownNode extends Error {
  readonly nodeId: string

  constructor(nodeId: string) {
    super(`There is no node ${JSON.stringify(nodeId)}.`)
    this.nodeId = nodeId
  }
}

export class PathService {
  readonly #store: Meshstore
  readonly #pathfinder: Pathfinder
  readonly #policies = new StoredPolicies(policyDocuments)
  /** Nodes of the topology that were not there when a path would have crossed them; each time they are looked for again. */
  #missing: readonly string[] = []

  constructor(store: Meshstore, pathfinder: Pathfinder) {
    this.#store = store
    this.#pathfinder = pathfinder
  }

  /** Throws UnknownNode. However many ask at once, the paths are found once. */
  async paths(key: PathKey): Promise<ResolvedPaths<MeshBundle>> {
    return this.#store.pathCache.resolve(key, () => this.#find(key), { ttlSeconds: TTL_SECONDS })
  }

  async #find(key: PathKey): Promise<MeshBundle> {
    const { source, destination } = key
    const now = new Date()
    // A read-only transaction sees nodes and policies of one moment, and holds up no writer. Nothing is computed in it.
    const { unknown, stopped, policies, ...seen } = await this.#store.transaction(
      async (tx) => ({
        unknown: await missingNodes(tx, [source, destination]),
        stopped: await stoppedNodes(tx),
        policies: await this.#policies.asOfNow(tx),
        missing: await missingNodes(tx, this.#missing),
      }),
      { readOnly: true },
    )
    if (unknown[0] !== undefined) throw new UnknownNode(unknown[0])
    const mayUse = policies.mayUse(source, { now })
    for (let { missing } = seen; ; ) {
      const down = new Set([...stopped, ...missing])
      const bundle = this.#pathfinder.find({ ...key, isUp: (nodeId) => !down.has(nodeId), mayUse, now })
      // Asking for those on the paths is cheaper than reading every node of the mesh.
      const found = await missingNodes(this.#store, nodesOn(bundle))
      this.#missing = missing
      if (found.length === 0) return bundle
      missing = [...missing, ...found]
    }
  }
}

function* nodesOn({ primary, alternatives }: MeshBundle): Iterable<string> {
  for (const { nodes } of [...primary, ...alternatives]) yield* nodes
}
