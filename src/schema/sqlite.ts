/**
 * The tables on SQLite. Its twin is postgres.ts: same names, same row types.
 *
 * The first three have exactly the columns that other programs write by position: never add, drop or reorder one.
 */
import { type SQL, sql } from 'drizzle-orm'
import { type AnySQLiteColumn, check, customType, index, integer as rowid, sqliteTable } from 'drizzle-orm/sqlite-core'
import * as codecs from './codecs.ts'
import { boolean as flag, integer, list as stringList, text, time } from './columns-sqlite.ts'
import type { PathBundle } from './path-bundle.ts'

const bundle = customType<{ data: PathBundle; driverData: string }>({
  dataType: () => 'text',
  toDriver: codecs.encodeBundle,
  fromDriver: (value) => codecs.decodeBundle(value) as PathBundle,
})

/** CASE, since SQLite may evaluate both sides of an AND, and json_type() of invalid JSON is an error. */
const isJsonArray = (column: AnySQLiteColumn): SQL =>
  sql`CASE WHEN json_valid(${column}) THEN json_type(${column}) = 'array' ELSE 0 END`
/** A REAL column takes texts, blobs and infinities. */
const isTime = (column: AnySQLiteColumn): SQL =>
  sql`typeof(${column}) = 'real' AND abs(${column}) <= ${sql.raw(String(codecs.MAX_EPOCH_SECONDS))}`

export const nodes = sqliteTable(
  'nodes',
  {
    /** 1–255 characters. */
    nodeId: text('node_id').primaryKey().notNull(),
    /** Names of the node's network interfaces, such as `eth0`. */
    interfaces: stringList('interfaces').notNull(),
    /** The node's mesh protocols, such as `batman-adv`. */
    protocols: stringList('protocols').notNull(),
    /** Whether the node is up. Default: `false`. */
    started: flag('started').notNull().default(false),
    /** The number of routes that the node has found; `recordRoutes()` adds to it. Default: 0. */
    routesDiscovered: integer('routes_discovered').notNull().default(0),
    /** When it was stored first. */
    createdAt: time('created_at').notNull(),
    /** When it was last changed: later with every change, by at least a millisecond. */
    updatedAt: time('updated_at').notNull(),
  },
  (table) => [
    index('idx_nodes_started').on(table.started, table.nodeId),
    index('idx_nodes_updated').on(table.updatedAt, table.nodeId),
    check('nodes_interfaces_json', isJsonArray(table.interfaces)),
    check('nodes_protocols_json', isJsonArray(table.protocols)),
    check('nodes_started_flag', sql`${table.started} IN (0, 1)`),
    check('nodes_routes_integer', sql`typeof(${table.routesDiscovered}) = 'integer'`),
    check('nodes_created_time', isTime(table.createdAt)),
    check('nodes_updated_time', isTime(table.updatedAt)),
  ],
)

export const policies = sqliteTable(
  'policies',
  {
    /** 1–255 characters. */
    policyId: text('policy_id').primaryKey().notNull(),
    /** YAML of one document or several, up to 1 MiB, kept byte for byte. */
    yamlContent: text('yaml_content').notNull(),
    /** Rules in the text: the lists `rules`, at the top or under `spec`, `spec.ingress` and `spec.egress`, over all documents. */
    rulesCount: integer('rules_count').notNull(),
    /** When it was stored first. */
    createdAt: time('created_at').notNull(),
    /** When it was last changed: later with every change, by at least a millisecond. */
    updatedAt: time('updated_at').notNull(),
  },
  (table) => [
    index('idx_policies_updated').on(table.updatedAt, table.policyId),
    check('policies_rules_integer', sql`typeof(${table.rulesCount}) = 'integer'`),
    check('policies_created_time', isTime(table.createdAt)),
    check('policies_updated_time', isTime(table.updatedAt)),
  ],
)

export const pathCache = sqliteTable(
  'path_cache',
  {
    /** `{source}:{destination}:{k}`, with `%` and `:` in the ids percent-encoded. */
    cacheKey: text('cache_key').primaryKey().notNull(),
    /** The source node of the paths. */
    source: text('source').notNull(),
    /** The destination node of the paths. */
    destination: text('destination').notNull(),
    /** The number of requested disjoint paths: 1–1,000. */
    k: integer('k').notNull(),
    /** The paths, as the application gave them. */
    bundle: bundle('bundle_json').notNull(),
    /** When it was stored. */
    createdAt: time('created_at').notNull(),
    /** Expiry: from this millisecond on no read returns the bundle. */
    expiresAt: time('expires_at').notNull(),
  },
  (table) => [
    index('idx_cache_expires').on(table.expiresAt),
    index('idx_cache_source_dest').on(table.source, table.destination),
    check('path_cache_k', sql`typeof(${table.k}) = 'integer' AND ${table.k} >= 1`),
    check('path_cache_created_time', isTime(table.createdAt)),
    check('path_cache_expires_time', isTime(table.expiresAt)),
  ],
)

/** The library's own state: the last backup, the last write of `health()`. */
export const state = sqliteTable('meshstore_state', {
  name: text('name').primaryKey().notNull(),
  value: text('value').notNull(),
  updatedAt: time('updated_at').notNull(),
})

/**
 * Invalidations (marks) of cached paths. A mark concerns the paths written before it, filtered by `source`, `destination`
 * and `through`; without filter it concerns all paths. The migrations' triggers write marks for all programs.
 */
export const invalidations = sqliteTable(
  'path_cache_marks',
  {
    /** Always ascends: the newest mark is never deleted. */
    id: rowid('id').primaryKey().notNull(),
    source: text('source'),
    destination: text('destination'),
    through: text('through'),
    markedAt: time('marked_at').notNull(),
    /** A sweep has deleted the paths that the mark concerns: reads ignore the mark. */
    swept: flag('swept').notNull().default(false),
    /** The log's entry of the row's own change tells of the mark: the mark gets no entry. */
    logged: flag('logged').notNull().default(false),
  },
  (table) => [index('idx_marks_unswept').on(table.id).where(sql`swept = 0`)],
)

/** The seen position of a cached path: the newest mark before the path was written. Kept while unswept marks exist. */
export const seenPositions = sqliteTable('path_cache_stamps', {
  cacheKey: text('cache_key').primaryKey().notNull(),
  mark: integer('mark').notNull(),
})

/**
 * Change data capture, in the order of the commits, while `meshstore_state` has a row `change_log`. The migrations' triggers
 * log the changes of all programs.
 */
export const changes = sqliteTable('meshstore_changes', {
  /** Ascends while the log is on: the newest change is not deleted. */
  seq: rowid('seq').primaryKey().notNull(),
  tableName: text('table_name').notNull(),
  /** The row's key; for an invalidation, its filter as JSON. */
  key: text('key'),
  /** `update+`: the change also invalidates the paths through the key. */
  operation: text('operation').notNull(),
  /** Random, 53 bits: distinguishes the change from one with the same number in a copy of the file. */
  nonce: integer('nonce').notNull().default(sql`(random() & 9007199254740991)`),
})

/** Registered consumers of the log, with their positions and expiry times. */
export const consumers = sqliteTable('meshstore_consumers', {
  name: text('name').primaryKey().notNull(),
  position: text('position').notNull(),
  keptUntil: time('kept_until').notNull(),
})

/** The twin of PostgreSQL's table. A file's commits have no lost answers: it stays empty. */
export const outcomes = sqliteTable('meshstore_outcomes', {
  token: text('token').primaryKey().notNull(),
  state: text('state').notNull(),
  writtenAt: time('written_at').notNull().default(sql`(unixepoch())`),
})
