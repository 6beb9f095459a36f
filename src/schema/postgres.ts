/** The tables on PostgreSQL. Its twin is sqlite.ts: same names, same row types. */
import { type SQL, sql } from 'drizzle-orm'
import { type AnyPgColumn, boolean, check, customType, index, integer, pgTable, text } from 'drizzle-orm/pg-core'
import * as codecs from './codecs.ts'
import type { PathBundle } from './path-bundle.ts'

/** COLLATE "C": order and paging by the keys' bytes, as on SQLite. */
const key = customType<{ data: string; driverData: string }>({ dataType: () => 'text COLLATE "C"' })
/** Seconds since the epoch. `real` would have 4 bytes here, and steps of 128 s. */
const time = customType<{ data: Date; driverData: number | string }>({
  dataType: () => 'double precision',
  toDriver: (time) => {
    const seconds = codecs.encodeTime(time)
    // The driver would write it as 0.
    return Object.is(seconds, -0) ? '-0' : seconds
  },
  fromDriver: codecs.decodeTime,
})
/** jsonb, so that lists can be queried. The driver hands it out parsed. */
const stringList = customType<{ data: string[]; driverData: unknown }>({
  dataType: () => 'jsonb',
  toDriver: codecs.encodeJson,
  fromDriver: codecs.checkStringList,
})
/** text, not jsonb: a bundle comes back byte for byte. */
const bundle = customType<{ data: PathBundle; driverData: string }>({
  dataType: () => 'text',
  toDriver: codecs.encodeBundle,
  fromDriver: (value) => codecs.decodeBundle(value) as PathBundle,
})

/** NaN sorts above every number in PostgreSQL, so that this refuses it, and the infinities. */
const isTime = (column: AnyPgColumn): SQL => {
  const bound = sql.raw(String(codecs.MAX_EPOCH_SECONDS))
  return sql`${column} BETWEEN -${bound} AND ${bound}`
}

/** A member that is no string would be found only after an update that returns its row has been committed. */
const isStringList = (column: AnyPgColumn): SQL =>
  sql`jsonb_typeof(${column}) = 'array' AND NOT jsonb_path_exists(${column}, '$[*] ? (@.type() != "string")')`

export const nodes = pgTable(
  'nodes',
  {
    nodeId: key('node_id').primaryKey().notNull(),
    interfaces: stringList('interfaces').notNull(),
    protocols: stringList('protocols').notNull(),
    started: boolean('started').notNull().default(false),
    routesDiscovered: integer('routes_discovered').notNull().default(0),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  (table) => [
    index('idx_nodes_started').on(table.started),
    check('nodes_interfaces_json', isStringList(table.interfaces)),
    check('nodes_protocols_json', isStringList(table.protocols)),
    check('nodes_created_time', isTime(table.createdAt)),
    check('nodes_updated_time', isTime(table.updatedAt)),
  ],
)

export const policies = pgTable(
  'policies',
  {
    policyId: key('policy_id').primaryKey().notNull(),
    yamlContent: text('yaml_content').notNull(),
    rulesCount: integer('rules_count').notNull(),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  (table) => [
    check('policies_created_time', isTime(table.createdAt)),
    check('policies_updated_time', isTime(table.updatedAt)),
  ],
)

export const pathCache = pgTable(
  'path_cache',
  {
    cacheKey: key('cache_key').primaryKey().notNull(),
    source: key('source').notNull(),
    destination: key('destination').notNull(),
    k: integer('k').notNull(),
    bundle: bundle('bundle_json').notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at').notNull(),
  },
  (table) => [
    index('idx_cache_expires').on(table.expiresAt),
    index('idx_cache_source_dest').on(table.source, table.destination),
    check('path_cache_k', sql`${table.k} >= 1`),
    check('path_cache_created_time', isTime(table.createdAt)),
    check('path_cache_expires_time', isTime(table.expiresAt)),
  ],
)

/** What the library remembers for itself: the last backup, the last write that `health()` tried. */
export const state = pgTable('meshstore_state', {
  name: key('name').primaryKey().notNull(),
  value: text('value').notNull(),
  updatedAt: time('updated_at').notNull(),
})
