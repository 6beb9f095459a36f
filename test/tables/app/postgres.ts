/** The twins of the tables that the suites use, on PostgreSQL. */
import {
  boolean,
  check,
  index,
  integer,
  json,
  list,
  nodes,
  pgTable,
  real,
  sql,
  text,
  time,
  uniqueIndex,
} from '../../../src/tables-postgres-entry.ts'

export const sites = pgTable(
  'sites',
  {
    siteId: text('site_id').primaryKey().notNull(),
    name: text('name').notNull(),
    floors: integer('floors').notNull().default(1),
    plan: json('plan').$type<{ readonly rooms: string[] }>(),
  },
  (table) => [uniqueIndex('idx_sites_name').on(table.name)],
)

export const links = pgTable(
  'links',
  {
    linkId: text('link_id').primaryKey().notNull(),
    source: text('source').notNull(),
    // A reserved word.
    target: text('to').notNull(),
    cost: real('cost').notNull().default(1),
    isUp: boolean('is_up').notNull().default(true),
    siteId: text('site_id').references(() => sites.siteId),
    owner: text('owner').references(() => nodes.nodeId, { onDelete: 'cascade' }),
    tags: list('tags').notNull(),
    seenAt: time('seen_at'),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  (table) => [
    index('idx_links_ends').on(table.source, table.target),
    index('idx_links_cost').on(table.cost, table.linkId),
    index('idx_links_updated').on(table.updatedAt),
    check('links_cost', sql`${table.cost} >= 0`),
  ],
)
