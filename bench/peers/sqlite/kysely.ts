/** Kysely as its documentation shows it. It returns what the driver returns: what a row becomes is its user's. */
import { Kysely, SqliteDialect } from 'kysely'
import type { NewMeshNode } from '../../../src/index.ts'
import { openDriver } from '../../driver.ts'
import type { SqlitePeerModule } from '../../peer.ts'
import { type NodeRow, nodeOf } from '../../raw-store.ts'
import { chunks, complete, PAGE, secondsOf } from '../rows.ts'

interface Tables {
  nodes: NodeRow
}

function rowOf(node: NewMeshNode): NodeRow {
  const { nodeId, interfaces, protocols, started, routesDiscovered, createdAt, updatedAt } = complete(node)
  return {
    node_id: nodeId,
    interfaces: JSON.stringify(interfaces),
    protocols: JSON.stringify(protocols),
    started: started ? 1 : 0,
    routes_discovered: routesDiscovered,
    created_at: secondsOf(createdAt),
    updated_at: secondsOf(updatedAt),
  }
}

export const open: SqlitePeerModule['open'] = (file, durability) => {
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: openDriver(file, durability) }) })
  const all = () => db.selectFrom('nodes').selectAll()
  return {
    get: async (nodeId) => {
      const row = await all().where('node_id', '=', nodeId).executeTakeFirst()
      return row && nodeOf(row)
    },
    getMany: async (ids) => (await all().where('node_id', 'in', ids).execute()).map(nodeOf),
    list: async (after, limit) =>
      (await all().where('node_id', '>', after).orderBy('node_id').limit(limit).execute()).map(nodeOf),
    insert: (node) => db.insertInto('nodes').values(rowOf(node)).execute(),
    update: async (nodeId, started) => {
      const changes = { started: started ? 1 : 0, updated_at: Date.now() / 1000 }
      const query = db.updateTable('nodes').set(changes).where('node_id', '=', nodeId)
      const row = await query.returningAll().executeTakeFirst()
      return row && nodeOf(row)
    },
    upsert: async (node) => {
      const row = await db
        .insertInto('nodes')
        .values(rowOf(node))
        .onConflict((conflict) =>
          conflict.column('node_id').doUpdateSet(({ ref }) => ({
            interfaces: ref('excluded.interfaces'),
            protocols: ref('excluded.protocols'),
            updated_at: ref('excluded.updated_at'),
          })),
        )
        .returningAll()
        .executeTakeFirst()
      return row && nodeOf(row)
    },
    delete: (nodeId) => db.deleteFrom('nodes').where('node_id', '=', nodeId).execute(),
    insertMany: (many) =>
      db.transaction().execute(async (tx) => {
        for (const chunk of chunks(many)) await tx.insertInto('nodes').values(chunk.map(rowOf)).execute()
      }),
    async *iterate() {
      for await (const row of all().orderBy('node_id').stream(PAGE)) yield nodeOf(row)
    },
    close: () => db.destroy(),
  }
}
