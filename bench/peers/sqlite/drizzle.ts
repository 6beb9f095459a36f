/** Drizzle as its documentation shows it first: each call builds its query. */
import { asc, eq, gt, inArray, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { openDriver } from '../../driver.ts'
import type { SqlitePeerModule } from '../../peer.ts'
import { byPages, chunks, complete } from '../rows.ts'
import { nodes } from './drizzle-schema.ts'

export const open: SqlitePeerModule['open'] = (file, durability) => {
  const client = openDriver(file, durability)
  const db = drizzle({ client })
  const list = (after: string, limit: number) =>
    db.select().from(nodes).where(gt(nodes.nodeId, after)).orderBy(asc(nodes.nodeId)).limit(limit).all()
  return {
    get: (nodeId) => db.select().from(nodes).where(eq(nodes.nodeId, nodeId)).get(),
    getMany: (ids) =>
      db
        .select()
        .from(nodes)
        .where(inArray(nodes.nodeId, [...ids]))
        .all(),
    list,
    insert: (node) => db.insert(nodes).values(complete(node)).run(),
    update: (nodeId, started) =>
      db.update(nodes).set({ started, updatedAt: new Date() }).where(eq(nodes.nodeId, nodeId)).returning().all()[0],
    upsert: (node) =>
      db
        .insert(nodes)
        .values(complete(node))
        .onConflictDoUpdate({
          target: nodes.nodeId,
          set: {
            interfaces: sql`excluded.interfaces`,
            protocols: sql`excluded.protocols`,
            updatedAt: sql`excluded.updated_at`,
          },
        })
        .returning()
        .all()[0],
    delete: (nodeId) => db.delete(nodes).where(eq(nodes.nodeId, nodeId)).run(),
    insertMany: (many) =>
      db.transaction((tx) => {
        for (const chunk of chunks(many)) tx.insert(nodes).values(chunk.map(complete)).run()
      }),
    // It has no cursor for better-sqlite3: pages, as its guide on pagination shows.
    iterate: () => byPages(list),
    close: () => client.close(),
  }
}
