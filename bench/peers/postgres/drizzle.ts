/** Drizzle on `pg`, as its documentation shows it first: each call builds its query. */
import { asc, eq, gt, inArray, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { boolean, customType, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import pg from 'pg'
import type { PostgresPeerModule } from '../../peer.ts'
import { complete, secondsOf, timeOf } from '../rows.ts'

const time = customType<{ data: Date; driverData: number }>({
  dataType: () => 'double precision',
  toDriver: secondsOf,
  fromDriver: timeOf,
})

const nodes = pgTable('nodes', {
  nodeId: text('node_id').primaryKey(),
  interfaces: jsonb('interfaces').$type<string[]>().notNull(),
  protocols: jsonb('protocols').$type<string[]>().notNull(),
  started: boolean('started').notNull(),
  routesDiscovered: integer('routes_discovered').notNull(),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
})

export const open: PostgresPeerModule['open'] = (connectionString, max) => {
  const pool = new pg.Pool({ connectionString, max })
  pool.on('error', () => {})
  const db = drizzle({ client: pool })
  const excluded = {
    interfaces: sql`excluded.interfaces`,
    protocols: sql`excluded.protocols`,
    updatedAt: sql`excluded.updated_at`,
  }
  return {
    get: async (nodeId) => (await db.select().from(nodes).where(eq(nodes.nodeId, nodeId)))[0],
    getMany: async (ids) =>
      db
        .select()
        .from(nodes)
        .where(inArray(nodes.nodeId, [...ids])),
    list: async (after, limit) =>
      db.select().from(nodes).where(gt(nodes.nodeId, after)).orderBy(asc(nodes.nodeId)).limit(limit),
    insert: async (node) => db.insert(nodes).values(complete(node)),
    update: async (nodeId, started) =>
      db.update(nodes).set({ started, updatedAt: new Date() }).where(eq(nodes.nodeId, nodeId)).returning(),
    upsert: async (node) =>
      db.insert(nodes).values(complete(node)).onConflictDoUpdate({ target: nodes.nodeId, set: excluded }).returning(),
    delete: async (nodeId) => db.delete(nodes).where(eq(nodes.nodeId, nodeId)),
    close: () => pool.end(),
  }
}
