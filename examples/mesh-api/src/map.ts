/** The places of the nodes on the drawn mesh. The layout takes a second for 2,000 nodes: a thread of its own makes it. */
import { Worker } from 'node:worker_threads'
import type { MeshStore } from './mesh-store.ts'
import { storedTopology } from './stored-mesh.ts'
import type { Topology } from './topology.ts'

export interface MeshMap {
  label: string
  metric: string | null
  nodes: { id: string; label: string; x: number; y: number }[]
  links: { source: string; target: string; weight: number }[]
}

/** The map of the stored mesh. It is laid out anew when a node or a link has come or gone. */
export class StoredMap {
  readonly #store: MeshStore
  #last: { readonly shape: string; readonly places: Promise<MeshMap> } | undefined

  constructor(store: MeshStore) {
    this.#store = store
  }

  async asOfNow(): Promise<MeshMap> {
    const topology = await storedTopology(this.#store)
    const { label, metric, nodeIds, links, names } = topology
    const shape = JSON.stringify([nodeIds, links.map(({ source, target }) => [source, target])])
    if (this.#last?.shape !== shape) this.#last = { shape, places: drawMap(topology) }
    const last = this.#last
    const drawn = await last.places.catch((error: unknown) => {
      if (this.#last === last) this.#last = undefined
      throw error
    })
    // A mesh of the same shape may have other names and weights by now.
    const weights = new Map<string, number>()
    for (const { source, target, cost } of links)
      for (const key of [`${source}\n${target}`, `${target}\n${source}`])
        weights.set(key, Math.min(cost, weights.get(key) ?? cost))
    return {
      label,
      metric: metric ?? null,
      nodes: drawn.nodes.map((node) => ({ ...node, label: names?.get(node.id) ?? node.id })),
      links: drawn.links.map((link) => ({
        ...link,
        weight: weights.get(`${link.source}\n${link.target}`) ?? link.weight,
      })),
    }
  }
}

/** Keeps nothing from ending. */
export function drawMap(topology: Topology): Promise<MeshMap> {
  const worker = new Worker(new URL('./map-worker.ts', import.meta.url), { workerData: topology })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject)
    // After its listeners, which would hold it again.
    worker.unref()
  })
}
