/** The application's own tables on PostgreSQL. `sqlite.ts` is the same with the other entry. */
import { check, index, nodes, pgTable, real, sql, text, time } from 'meshstore/tables/postgres'

export const links = pgTable(
  'links',
  {
    /** `source:target`. */
    linkId: text('link_id').primaryKey().notNull(),
    source: text('source')
      .notNull()
      .references(() => nodes.nodeId, { onDelete: 'cascade' }),
    target: text('target')
      .notNull()
      .references(() => nodes.nodeId, { onDelete: 'cascade' }),
    /** The pathfinder minimizes the sum of costs. 0 or more. */
    cost: real('cost').notNull(),
    /** Like `wifi` or `vpn`, if that is known. */
    kind: text('kind'),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  (table) => [
    index('idx_links_source').on(table.source),
    index('idx_links_target').on(table.target),
    index('idx_links_cost').on(table.cost),
    check('links_cost', sql`${table.cost} >= 0`),
  ],
)

export const nodeLabels = pgTable(
  'node_labels',
  {
    /** `node:name`. */
    labelId: text('label_id').primaryKey().notNull(),
    nodeId: text('node_id')
      .notNull()
      .references(() => nodes.nodeId, { onDelete: 'cascade' }),
    /** `label` is what a person calls the node. */
    name: text('name').notNull(),
    value: text('value').notNull(),
  },
  (table) => [
    index('idx_node_labels_node').on(table.nodeId),
    index('idx_node_labels_name').on(table.name, table.value),
  ],
)

/** Facts about the whole mesh: its `label`, the `protocol` of its links, and the `metric` of their costs. */
export const meshFacts = pgTable('mesh_facts', {
  name: text('name').primaryKey().notNull(),
  value: text('value').notNull(),
})
