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

/** A transaction's id, of 64 bits. */
const transactionId = customType<{ data: string }>({ dataType: () => 'xid8' })
/** Which transactions a transaction sees. */
const snapshot = customType<{ data: string }>({ dataType: () => 'pg_snapshot' })

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
    index('idx_nodes_started').on(table.started, table.nodeId),
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

/**
 * What invalidates cached paths: those whose writer did not see the mark, from `source`, to `destination` and by way of
 * `through`, as far as they are given; none given: all. The triggers of the migrations write them, so that every program
 * counts. Ids are not given in the order of the commits: what was seen is told by transactions and snapshots.
 */
export const marks = pgTable(
  'path_cache_marks',
  {
    id: bigint('id', { mode: 'number' }).generatedAlwaysAsIdentity().primaryKey().notNull(),
    source: key('source'),
    destination: key('destination'),
    through: key('through'),
    markedAt: time('marked_at').notNull(),
    /** What it invalidates has been deleted: reads need not look at it any more. */
    swept: boolean('swept').notNull().default(false),
    transaction: transactionId('transaction').notNull().default(sql`pg_current_xact_id()`),
  },
  (table) => [
    index('idx_marks_unswept').on(table.id).where(sql`NOT swept`),
    index('idx_marks_transaction').on(table.transaction),
  ],
)

/** What the writer of a cached path saw: `mark` is the newest of its own transaction's. Kept for as long as unswept marks are there. */
export const stamps = pgTable('path_cache_stamps', {
  cacheKey: key('cache_key').primaryKey().notNull(),
  mark: bigint('mark', { mode: 'number' }).notNull(),
  transaction: transactionId('transaction').notNull().default(sql`pg_current_xact_id()`),
  snapshot: snapshot('snapshot').notNull().default(sql`pg_current_snapshot()`),
})

/**
 * What was changed, while `meshstore_state` has a row `change_log`. The triggers of the migrations write it, so that every
 * program counts. Numbers are not given in the order of the commits: what was read is told by transactions and snapshots. Of
 * one row's changes they ascend, since who changes a row waits for those who did before.
 */
export const changes = pgTable(
  'meshstore_changes',
  {
    seq: bigint('seq', { mode: 'number' }).generatedAlwaysAsIdentity().primaryKey().notNull(),
    tableName: text('table_name').notNull(),
    /** Of the row; of an invalidation, which paths it concerns, as JSON. */
    key: key('key'),
    operation: text('operation').notNull(),
    transaction: transactionId('transaction').notNull().default(sql`pg_current_xact_id()`),
    /** Random: tells the change from another one that has its ids on another server. 53 bits, as a JavaScript number holds. */
    nonce: bigint('nonce', { mode: 'number' }).notNull().default(sql`floor(random() * 9007199254740992)::bigint`),
  },
  (table) => [index('idx_changes_transaction').on(table.transaction)],
)

/** Who reads the log, how far it has come, and when it was last heard of: for so long the rest is kept. */
export const consumers = pgTable('meshstore_consumers', {
  name: key('name').primaryKey().notNull(),
  position: text('position').notNull(),
  keptUntil: time('kept_until').notNull(),
})
