/** `postgres` (postgres.js), whose statements are prepared and pipelined by itself. */
import postgres from 'postgres'
import type { PostgresPeerModule } from '../../peer.ts'
import { type NodeRow, nodeOf, now, rowOf } from './rows.ts'

export const open: PostgresPeerModule['open'] = (url, max) => {
  const sql = postgres(url, { max, onnotice: () => {} })
  const valuesOf = (node: Parameters<typeof rowOf>[0]) => {
    const row = rowOf(node)
    return sql({ ...row, interfaces: sql.json(row.interfaces), protocols: sql.json(row.protocols) })
  }
  return {
    get: async (id) => (await sql<NodeRow[]>`SELECT * FROM nodes WHERE node_id = ${id}`).map(nodeOf)[0],
    getMany: async (ids) => (await sql<NodeRow[]>`SELECT * FROM nodes WHERE node_id IN ${sql([...ids])}`).map(nodeOf),
    list: async (after, limit) =>
      (await sql<NodeRow[]>`SELECT * FROM nodes WHERE node_id > ${after} ORDER BY node_id LIMIT ${limit}`).map(nodeOf),
    insert: async (node) => sql`INSERT INTO nodes ${valuesOf(node)}`,
    update: async (id, started) =>
      (
        await sql<NodeRow[]>`UPDATE nodes SET ${sql({ started, updated_at: now() })} WHERE node_id = ${id} RETURNING *`
      ).map(nodeOf)[0],
    upsert: async (node) =>
      (
        await sql<NodeRow[]>`INSERT INTO nodes ${valuesOf(node)} ON CONFLICT (node_id) DO UPDATE SET
          interfaces = excluded.interfaces, protocols = excluded.protocols, updated_at = excluded.updated_at RETURNING *`
      ).map(nodeOf)[0],
    delete: async (id) => sql`DELETE FROM nodes WHERE node_id = ${id}`,
    close: () => sql.end(),
  }
}
