/** The tables on PostgreSQL. Its twin is sqlite.ts: same names, same row types. */
import { type SQL, sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  customType,
  index,
  integer,
  pgTable,
  text,
} from 'drizzle-orm/pg-core'
import * as codecs from './codecs.ts'
import { text as key, list as stringList, time } from './columns-postgres.ts'
import type { PathBundle } from './path-bundle.ts'

/** text, not jsonb: a bundle comes back byte for byte. */
const bundle = customType<{ data: PathBundle; driverData: string }>({
  dataType: () => 'text',
  toDriver: codecs.encodeBundle,
  fromDriver: (value) => codecs.decodeBundle(value) as PathBundle,
})

/** A transaction's id, of 64 bits. */
const transactionId = customType<{ data: string }>({ dataType: () => 'xid8' })
/** A snapshot: the transactions that a transaction sees. */
const snapshot = customType<{ data: string }>({ dataType: () => 'pg_snapshot' })

/** Refuses NaN, which PostgreSQL sorts above all numbers, and the infinities. */
const isTime = (column: AnyPgColumn): SQL => {
  const bound = sql.raw(String(codecs.MAX_EPOCH_SECONDS))
  return sql`${column} BETWEEN -${bound} AND ${bound}`
}

/** Refuses members that are not strings: otherwise an update would fail to decode its returned row after the commit. */
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
    index('idx_nodes_started').on(table.started, table.nodeId),
    index('idx_nodes_updated').on(table.updatedAt, table.nodeId),
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
    index('idx_policies_updated').on(table.updatedAt, table.policyId),
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

/** The library's own state: the last backup, the last write of `health()`. */
export const state = pgTable('meshstore_state', {
  name: key('name').primaryKey().notNull(),
  value: text('value').notNull(),
  updatedAt: time('updated_at').notNull(),
})

/**
 * Invalidations (marks) of cached paths. A mark concerns the paths whose writer did not see it, filtered by `source`,
 * `destination` and `through`; without filter it concerns all paths. The migrations' triggers write marks for all programs.
 * Ids do not follow the order of the commits: transactions and snapshots tell which marks a writer saw.
 */
export const invalidations = pgTable(
  'path_cache_marks',
  {
    id: bigint('id', { mode: 'number' }).generatedAlwaysAsIdentity().primaryKey().notNull(),
    source: key('source'),
    destination: key('destination'),
    through: key('through'),
    markedAt: time('marked_at').notNull(),
    /** A sweep has deleted the paths that the mark concerns: reads ignore the mark. */
    swept: boolean('swept').notNull().default(false),
    transaction: transactionId('transaction').notNull().default(sql`pg_current_xact_id()`),
    /** The log's entry of the row's own change tells of the mark: the mark gets no entry. */
    logged: boolean('logged').notNull().default(false),
  },
  (table) => [
    index('idx_marks_unswept').on(table.id).where(sql`NOT swept`),
    index('idx_marks_transaction').on(table.transaction),
  ],
)

/** The seen position of a cached path's writer; `mark` is its own transaction's newest. Kept while unswept marks exist. */
export const seenPositions = pgTable('path_cache_stamps', {
  cacheKey: key('cache_key').primaryKey().notNull(),
  mark: bigint('mark', { mode: 'number' }).notNull(),
  transaction: transactionId('transaction').notNull().default(sql`pg_current_xact_id()`),
  snapshot: snapshot('snapshot').notNull().default(sql`pg_current_snapshot()`),
})

/**
 * Change data capture, while `meshstore_state` has a row `change_log`. The migrations' triggers log the changes of all
 * programs. Numbers do not follow the order of the commits: transactions and snapshots tell what was read. The numbers of one
 * row's changes ascend, since a writer waits for the row's earlier writers.
 */
export const changes = pgTable(
  'meshstore_changes',
  {
    seq: bigint('seq', { mode: 'number' }).generatedAlwaysAsIdentity().primaryKey().notNull(),
    tableName: text('table_name').notNull(),
    /** The row's key; for an invalidation, its filter as JSON. */
    key: key('key'),
    /** `update+`: the change also invalidates the paths through the key. */
    operation: text('operation').notNull(),
    transaction: transactionId('transaction').notNull().default(sql`pg_current_xact_id()`),
    /** Random, 53 bits: distinguishes the change from one with the same ids on another server. */
    nonce: bigint('nonce', { mode: 'number' }).notNull().default(sql`floor(random() * 9007199254740992)`),
  },
  (table) => [index('idx_changes_transaction').on(table.transaction)],
)

/** Registered consumers of the log, with their positions and expiry times. */
export const consumers = pgTable('meshstore_consumers', {
  name: key('name').primaryKey().notNull(),
  position: text('position').notNull(),
  keptUntil: time('kept_until').notNull(),
})

/**
 * Tokens of transactions whose answer may be lost. A transaction writes its own with the state `done`; whoever missed the answer to
 * its COMMIT claims the token, and writes `void` if the transaction was not committed. By the server's clock.
 */
export const outcomes = pgTable('meshstore_outcomes', {
  token: key('token').primaryKey().notNull(),
  state: text('state').notNull(),
  writtenAt: time('written_at').notNull().default(sql`extract(epoch FROM now())`),
})
