/** Kysely on `pg`, as its documentation shows it. */
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { NewMeshNode } from '../../../src/index.ts'
import type { PostgresPeerModule } from '../../peer.ts'
import { type NodeRow, nodeOf, now, rowOf } from './rows.ts'

/** `pg` would make an array of PostgreSQL's of a list: JSON is written as text. */
type Written = Omit<NodeRow, 'interfaces' | 'protocols'> & { interfaces: string; protocols: string }

function written(node: NewMeshNode): Written {
  const row = rowOf(node)
  return { ...row, interfaces: JSON.stringify(row.interfaces), protocols: JSON.stringify(row.protocols) }
}

export const open: PostgresPeerModule['open'] = (connectionString, max) => {
  const pool = new pg.Pool({ connectionString, max })
  pool.on('error', () => {})
  const db = new Kysely<{ nodes: Written }>({ dialect: new PostgresDialect({ pool }) })
  const all = () => db.selectFrom('nodes').selectAll().$castTo<NodeRow>()
  return {
    get: async (id) => (await all().where('node_id', '=', id).execute()).map(nodeOf)[0],
    getMany: async (ids) => (await all().where('node_id', 'in', ids).execute()).map(nodeOf),
    list: async (after, limit) =>
      (await all().where('node_id', '>', after).orderBy('node_id').limit(limit).execute()).map(nodeOf),
    insert: (node) => db.insertInto('nodes').values(written(node)).execute(),
    update: async (id, started) => {
      const query = db.updateTable('nodes').set({ started, updated_at: now() }).where('node_id', '=', id)
      return (await query.returningAll().$castTo<NodeRow>().execute()).map(nodeOf)[0]
    },
    upsert: async (node) => {
      const query = db.insertInto('nodes').values(written(node))
      const upsert = query.onConflict((conflict) =>
        conflict.column('node_id').doUpdateSet(({ ref }) => ({
          interfaces: ref('excluded.interfaces'),
          protocols: ref('excluded.protocols'),
          updated_at: ref('excluded.updated_at'),
        })),
      )
      return (await upsert.returningAll().$castTo<NodeRow>().execute()).map(nodeOf)[0]
    },
    delete: (id) => db.deleteFrom('nodes').where('node_id', '=', id).execute(),
    close: () => db.destroy(),
  }
}
