/** Lays a mesh out by forces between its nodes (ForceAtlas2, Jacomy et al. 2014). */
import { parentPort, workerData } from 'node:worker_threads'
import layout from 'graphology-layout-forceatlas2'
import type { MeshMap } from './map.ts'
import { MeshGraph } from './pathfinder/mesh-graph.ts'
import type { Topology } from './topology.ts'

// Its types describe a module with a default export, and it is that default itself.
const forceAtlas2 = layout as unknown as typeof layout.default

/** A large mesh has found its shape by then; a small one is to look its best. */
const iterationsFor = (nodes: number): number => (nodes > LARGE ? 150 : 500)
const LARGE = 200
/** Turns the spiral of the sunflower, in which the nodes begin: no two lie on each other. */
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5))

const topology: Topology = workerData
const { graph } = new MeshGraph(topology)
const places = new Map(
  graph.nodes().map((id, index) => {
    const radius = Math.sqrt(index + 0.5)
    return [id, { x: radius * Math.cos(index * GOLDEN_ANGLE), y: radius * Math.sin(index * GOLDEN_ANGLE) }] as const
  }),
)
graph.updateEachNodeAttributes((id, attributes) => ({ ...attributes, ...places.get(id) }))
const settings = { ...layout.inferSettings(graph), barnesHutOptimize: graph.order > LARGE, edgeWeightInfluence: 0 }
const laidOut = forceAtlas2(graph, { iterations: iterationsFor(graph.order), settings, getEdgeWeight: null })

const map: MeshMap = {
  label: topology.label,
  metric: topology.metric ?? null,
  nodes: graph.mapNodes((id, { label }) => ({ id, label, x: laidOut[id]?.x ?? 0, y: laidOut[id]?.y ?? 0 })),
  links: graph.mapEdges((_, { weight }, source, target) => ({ source, target, weight })),
}
parentPort?.postMessage(map)
