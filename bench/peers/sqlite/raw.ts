/** better-sqlite3 by hand: statements prepared once. The limit for all who run on it. */
import type { SqlitePeerModule } from '../../peer.ts'
import { type NodeRow, nodeOf, RawStore } from '../../raw-store.ts'

export const open: SqlitePeerModule['open'] = (file, durability) => {
  const store = new RawStore(file, durability)
  const many = store.raw.prepare<[string], NodeRow>(
    'SELECT * FROM nodes WHERE node_id IN (SELECT value FROM json_each(?))',
  )
  const all = store.raw.prepare<[], NodeRow>('SELECT * FROM nodes ORDER BY node_id')
  return {
    get: (nodeId) => store.node(nodeId),
    getMany: (nodeIds) => many.all(JSON.stringify(nodeIds)).map(nodeOf),
    list: (after, limit) => store.nodes(after, limit),
    insert: (node) => store.createNode(node),
    update: (nodeId, started) => store.startNode(nodeId, started),
    upsert: (node) => store.saveNode(node),
    delete: (nodeId) => store.deleteNode(nodeId),
    insertMany: (nodes) => store.createNodes(nodes),
    *iterate() {
      for (const row of all.iterate()) yield nodeOf(row)
    },
    close: () => store.close(),
  }
}
