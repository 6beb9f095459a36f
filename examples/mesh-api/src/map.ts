/** Where the nodes lie on the drawn mesh. The layout takes a second for 2,000 nodes: a thread of its own makes it. */
import { Worker } from 'node:worker_threads'
import type { Topology } from './topology.ts'

export interface MeshMap {
  label: string
  metric: string | null
  nodes: { id: string; label: string; x: number; y: number }[]
  links: { source: string; target: string; weight: number }[]
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
