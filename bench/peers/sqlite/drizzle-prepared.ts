/** Drizzle with prepared statements, which its documentation recommends for speed. */
import { asc, eq, gt, inArray, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import type { NewMeshNode } from '../../../src/index.ts'
import { openDriver } from '../../driver.ts'
import type { SqlitePeerModule } from '../../peer.ts'
import { byPages, complete } from '../rows.ts'
import { nodes } from './drizzle-schema.ts'

/** As many ids as are asked for at once: the text of a prepared statement has a fixed number of them. */
const IDS = 100
const { placeholder } = sql

const values = {
  nodeId: placeholder('nodeId'),
  interfaces: placeholder('interfaces'),
  protocols: placeholder('protocols'),
  started: placeholder('started'),
  routesDiscovered: placeholder('routesDiscovered'),
  createdAt: placeholder('createdAt'),
  updatedAt: placeholder('updatedAt'),
}
const excluded = {
  interfaces: sql`excluded.interfaces`,
  protocols: sql`excluded.protocols`,
  updatedAt: sql`excluded.updated_at`,
}

export const open: SqlitePeerModule['open'] = (file, durability) => {
  const client = openDriver(file, durability)
  const db = drizzle({ client })
  const ids = Array.from({ length: IDS }, (_, n) => `id${n}`)
  const get = db
    .select()
    .from(nodes)
    .where(eq(nodes.nodeId, placeholder('id')))
    .prepare()
  const getMany = db
    .select()
    .from(nodes)
    .where(inArray(nodes.nodeId, ids.map(placeholder)))
    .prepare()
  const page = db
    .select()
    .from(nodes)
    .where(gt(nodes.nodeId, placeholder('after')))
    .orderBy(asc(nodes.nodeId))
    .limit(placeholder('limit'))
    .prepare()
  const insert = db.insert(nodes).values(values).prepare()
  const update = db
    .update(nodes)
    // Its types allow no placeholder here, though it takes them.
    .set({ started: sql`${placeholder('started')}`, updatedAt: sql`${placeholder('updatedAt')}` })
    .where(eq(nodes.nodeId, placeholder('id')))
    .returning()
    .prepare()
  const upsert = db
    .insert(nodes)
    .values(values)
    .onConflictDoUpdate({ target: nodes.nodeId, set: excluded })
    .returning()
    .prepare()
  const remove = db
    .delete(nodes)
    .where(eq(nodes.nodeId, placeholder('id')))
    .prepare()
  const list = (after: string, limit: number) => page.all({ after, limit })
  const create = (node: NewMeshNode) => insert.run(complete(node))
  return {
    get: (id) => get.get({ id }),
    getMany: (wanted) => getMany.all(Object.fromEntries(ids.map((name, n) => [name, wanted[n]]))),
    list,
    insert: create,
    update: (id, started) => update.all({ id, started: started ? 1 : 0, updatedAt: Date.now() / 1000 })[0],
    upsert: (node) => upsert.all(complete(node))[0],
    delete: (id) => remove.run({ id }),
    insertMany: (many) => db.transaction(() => many.forEach(create)),
    iterate: () => byPages(list),
    close: () => client.close(),
  }
}
