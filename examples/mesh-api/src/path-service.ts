/** Paths between two nodes: from the storage's cache, or found as the mesh is now, and cached for 30 seconds. */
import { type PathKey, policyDocuments, type ResolvedPaths } from 'meshstore'
import type { MeshStore } from './mesh-store.ts'
import type { MeshBundle } from './pathfinder/bundle.ts'
import { missingNodes, StoredPolicies, stoppedNodes } from './states.ts'
import { StoredLinks } from './stored-mesh.ts'

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
  readonly #store: MeshStore
  readonly #links = new StoredLinks()
  readonly #policies = new StoredPolicies(policyDocuments)

  constructor(store: MeshStore) {
    this.#store = store
  }

  /** Throws UnknownNode. However many ask at once, the paths are found once. */
  async paths(key: PathKey): Promise<ResolvedPaths<MeshBundle>> {
    return this.#store.pathCache.resolve(key, () => this.#find(key), { ttlSeconds: TTL_SECONDS })
  }

  async #find(key: PathKey): Promise<MeshBundle> {
    const { source, destination } = key
    const now = new Date()
    // A read-only transaction sees nodes, links and policies of one moment, and holds up no writer. Nothing is computed in it.
    const { unknown, stopped, policies, pathfinder } = await this.#store.transaction(
      async (tx) => ({
        unknown: await missingNodes(tx, [source, destination]),
        stopped: await stoppedNodes(tx),
        policies: await this.#policies.asOfNow(tx),
        pathfinder: await this.#links.asOfNow(tx),
      }),
      { readOnly: true },
    )
    if (unknown[0] !== undefined) throw new UnknownNode(unknown[0])
    const mayUse = policies.mayUse(source, { now })
    return pathfinder.find({ ...key, isUp: (nodeId) => !stopped.has(nodeId), mayUse, now })
  }
}
