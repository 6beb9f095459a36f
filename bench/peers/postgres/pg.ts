/** `pg` by hand: a pool, and named statements, which each connection prepares once. */
import pg from 'pg'
import type { MeshNode, NewMeshNode } from '../../../src/index.ts'
import type { PostgresPeerModule } from '../../peer.ts'
import { type NodeRow, nodeOf, now, rowOf } from './rows.ts'

const SQL = {
  get: 'SELECT * FROM nodes WHERE node_id = $1',
  getMany: 'SELECT * FROM nodes WHERE node_id = ANY ($1)',
  list: 'SELECT * FROM nodes WHERE node_id > $1 ORDER BY node_id LIMIT $2',
  insert: 'INSERT INTO nodes VALUES ($1, $2, $3, $4, $5, $6, $7)',
  update: 'UPDATE nodes SET started = $1, updated_at = $2 WHERE node_id = $3 RETURNING *',
  upsert: `INSERT INTO nodes VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (node_id) DO UPDATE
    SET interfaces = excluded.interfaces, protocols = excluded.protocols, updated_at = excluded.updated_at RETURNING *`,
  delete: 'DELETE FROM nodes WHERE node_id = $1',
}

function valuesOf(node: NewMeshNode): unknown[] {
  const { interfaces, protocols, ...row } = rowOf(node)
  const lists = [JSON.stringify(interfaces), JSON.stringify(protocols)]
  return [row.node_id, ...lists, row.started, row.routes_discovered, row.created_at, row.updated_at]
}

export const open: PostgresPeerModule['open'] = (connectionString, max) => {
  const pool = new pg.Pool({ connectionString, max })
  pool.on('error', () => {})
  const rows = async (name: keyof typeof SQL, values: unknown[]): Promise<MeshNode[]> =>
    (await pool.query<NodeRow>({ name, text: SQL[name], values })).rows.map(nodeOf)
  return {
    get: async (nodeId) => (await rows('get', [nodeId]))[0],
    getMany: (nodeIds) => rows('getMany', [nodeIds]),
    list: (after, limit) => rows('list', [after, limit]),
    insert: (node) => rows('insert', valuesOf(node)),
    update: async (nodeId, started) => (await rows('update', [started, now(), nodeId]))[0],
    upsert: async (node) => (await rows('upsert', valuesOf(node)))[0],
    delete: (nodeId) => rows('delete', [nodeId]),
    close: () => pool.end(),
  }
}
