/** The table of the nodes as an application of Drizzle declares it. */
import { customType, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

const time = customType<{ data: Date; driverData: number }>({
  dataType: () => 'real',
  toDriver: (date) => date.getTime() / 1000,
  fromDriver: (seconds) => new Date(Math.round(seconds * 1000)),
})

export const nodes = sqliteTable('nodes', {
  nodeId: text('node_id').primaryKey(),
  interfaces: text('interfaces', { mode: 'json' }).$type<string[]>().notNull(),
  protocols: text('protocols', { mode: 'json' }).$type<string[]>().notNull(),
  started: integer('started', { mode: 'boolean' }).notNull(),
  routesDiscovered: integer('routes_discovered').notNull(),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
})
