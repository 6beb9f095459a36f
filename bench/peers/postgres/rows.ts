/** A row as PostgreSQL's drivers return it, and what it becomes. */
import type { MeshNode, NewMeshNode } from '../../../src/index.ts'
import { complete, secondsOf, timeOf } from '../rows.ts'

export interface NodeRow {
  node_id: string
  interfaces: string[]
  protocols: string[]
  started: boolean
  routes_discovered: number
  created_at: number
  updated_at: number
}

export const nodeOf = (row: NodeRow): MeshNode => ({
  nodeId: row.node_id,
  interfaces: row.interfaces,
  protocols: row.protocols,
  started: row.started,
  routesDiscovered: row.routes_discovered,
  createdAt: timeOf(row.created_at),
  updatedAt: timeOf(row.updated_at),
})

export function rowOf(node: NewMeshNode): NodeRow {
  const { nodeId, interfaces, protocols, started, routesDiscovered, createdAt, updatedAt } = complete(node)
  return {
    node_id: nodeId,
    interfaces,
    protocols,
    started,
    routes_discovered: routesDiscovered,
    created_at: secondsOf(createdAt),
    updated_at: secondsOf(updatedAt),
  }
}

export const now = (): number => Date.now() / 1000
