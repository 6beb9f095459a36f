import type pg from 'pg'
import type { OtherData } from '../api.ts'
import { translated } from '../database/postgres/errors.ts'
import { IS_VALID } from '../database/postgres/invalidations.ts'
import { located, ONLY_READS, openPool, type PoolMode } from '../database/postgres/pool.ts'
import { assertEncoding, explained } from '../database/postgres/session-control.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { StorageError } from '../errors.ts'
import type { Cell } from '../migrator/adoption-rows.ts'
import { checkPostgres, schemaVersionOf } from '../migrator/postgres-migrator.ts'
import { isKnown, withRows } from './other-data.ts'
import { SLICE_BYTES, SLICE_ROWS, type Snapshot, type SourceOptions, sizeOf } from './source.ts'
import { columnsOf, isTableName, keyColumn, TABLE_NAMES, type TableName } from './tables.ts'

/**
 * DEFERRABLE waits for a moment of which no later conflict can take anything back: an export of an hour must not fail at
 * its end. It waits for every serializable transaction of the whole server that writes, so that one which is left open would
 * keep it waiting for ever; then a snapshot as of now has to do: of whole transactions, too, though perhaps one that no order
 * of them explains (https://www.postgresql.org/docs/current/transaction-iso.html).
 */
const WAYS = ['SERIALIZABLE READ ONLY DEFERRABLE', 'REPEATABLE READ READ ONLY'] as const
const LONGEST_WAIT_MS = 2_000
/** Whoever reads our output may be slow, so that the transaction may stand idle. All bits of a time, whatever the role says. */
const SETTINGS = ['SET LOCAL idle_in_transaction_session_timeout = 0', 'SET LOCAL extra_float_digits = 1']

/** One moment of a server's database, while others read and write. Throws StorageErrors. */
export async function withPostgresSnapshot<T>(
  target: PostgresTarget,
  { busyTimeoutMs = 5_000, anySchema = false, mode = target.poolMode }: SourceOptions & { mode?: PoolMode },
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  // A proxy that swaps sessions may leave the name to others, who write.
  const name = mode === 'session' ? `${target.applicationName}${ONLY_READS}` : target.applicationName
  const reader = { ...target, applicationName: name }
  const pool = openPool(reader, {
    max: 1,
    mode,
    readOnly: true,
    durability: 'full',
    statementMs: target.statementMs,
    lockMs: Math.max(1, busyTimeoutMs),
  })
  try {
    await checked(pool, target, anySchema)
    return await inTransaction(pool, async (client) => work(snapshotOf(client, await versionIn(client))))
  } finally {
    await pool.end()
  }
}

async function checked(pool: pg.Pool, target: PostgresTarget, anySchema: boolean): Promise<void> {
  try {
    await assertEncoding(pool)
    if (!anySchema) await checkPostgres(pool, 'check')
  } catch (error) {
    throw await explained(error, target, pool)
  }
}

/** The last migration. */
async function versionIn(client: pg.PoolClient): Promise<string> {
  try {
    return await schemaVersionOf(client)
  } catch (error) {
    throw translated(error)
  }
}

async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((error) => {
    throw translated(located(error, pool))
  })
  try {
    await begin(client)
    return await work(client)
  } finally {
    // Nothing was written: with the connection the transaction is gone.
    client.release(true)
  }
}

async function begin(client: pg.PoolClient): Promise<void> {
  for (const way of WAYS) {
    await ask(client, `BEGIN ISOLATION LEVEL ${way}`)
    for (const setting of SETTINGS) await ask(client, setting)
    if (way === WAYS[1]) return
    await ask(client, `SET LOCAL statement_timeout = ${LONGEST_WAIT_MS}`)
    try {
      // BEGIN does not choose the moment; the first query does.
      await ask(client, 'SELECT 1')
      await ask(client, 'SET LOCAL statement_timeout TO DEFAULT')
      return
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'TIMEOUT') throw error
      await ask(client, 'ROLLBACK')
    }
  }
}

/** The errors of whoever writes the output are none of the server's, and stay as they are. */
async function ask<R extends unknown[]>(client: pg.PoolClient, text: string, values: unknown[] = []): Promise<R[]> {
  try {
    return (await client.query<R>({ text, values, rowMode: 'array' })).rows
  } catch (error) {
    throw translated(located(error, client))
  }
}

/** Of a client that has a transaction open. `asStored`: with cached paths that have been invalidated. */
export const snapshotOf = (client: pg.PoolClient, schemaVersion: string, { asStored = false } = {}): Snapshot => ({
  schemaVersion,
  count: async (table) => {
    const [row] = await ask<[number]>(
      client,
      `SELECT count(*) FROM ${table} WHERE ${asStored ? 'true' : await valid(client, table)}`,
    )
    return row?.[0] ?? 0
  },
  slices: (table) => slicesOf(client, table, asStored),
  // No value there is anything but what it is here.
  stored: (table, cells) => ({
    row: Object.fromEntries(columnsOf(table).map(({ name }, index) => [name, cells[index] as Cell])),
  }),
  others: () => othersIn(client),
})

/** Cached paths that have been invalidated and not yet been swept are left out. Older schemas have no marks. */
async function valid(client: pg.PoolClient, table: TableName): Promise<string> {
  if (table !== 'path_cache') return 'true'
  const [row] = await ask<[boolean]>(client, "SELECT to_regclass('path_cache_stamps') IS NOT NULL")
  return row?.[0] === true ? IS_VALID : 'true'
}

/** A list's own text, as on SQLite: the driver would parse it. */
export const columnsAsText = (table: TableName): string =>
  columnsOf(table)
    .map(({ name }) => (name === 'interfaces' || name === 'protocols' ? `${name}::text` : name))
    .join(', ')

/**
 * Pages by key. How many rows the next one has follows from the size of those of the last. It is asked for while the last is
 * worked on: two are held at a time.
 */
async function* slicesOf(client: pg.PoolClient, table: TableName, asStored: boolean): AsyncGenerator<unknown[][]> {
  const select = `SELECT ${columnsAsText(table)} FROM ${table} WHERE ${asStored ? 'true' : await valid(client, table)}`
  const key = keyColumn(table)
  let limit = SLICE_ROWS / 4
  let asked = ask(client, `${select} ORDER BY ${key} LIMIT $1`, [limit])
  for (;;) {
    const rows = await asked
    if (rows.length < limit) {
      if (rows.length > 0) yield rows
      return
    }
    const size = rows.reduce((sum, row) => sum + sizeOf(row), 0)
    limit = Math.min(SLICE_ROWS, Math.max(1, Math.floor((SLICE_BYTES * rows.length) / Math.max(1, size))))
    asked = ask(client, `${select} AND ${key} > $2 ORDER BY ${key} LIMIT $1`, [limit, rows.at(-1)?.[0]])
    // Whoever asks next is told, if anybody does.
    asked.catch(() => {})
    yield rows
  }
}

/**
 * Every table of the database but those of extensions, and those of another store in a schema of its own. `column`: of our
 * tables, each one.
 */
const OTHERS = `
  SELECT CASE WHEN ours.oid IS NULL THEN n.nspname END, c.relname, a.attname
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_namespace AS ours ON ours.oid = n.oid AND ours.nspname = current_schema()
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND ours.oid IS NOT NULL AND c.relname = ANY($1)
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
    AND (ours.oid IS NOT NULL OR NOT EXISTS (
      SELECT 1 FROM pg_class WHERE relnamespace = n.oid AND relname = 'meshstore_state'))
  ORDER BY 1 NULLS FIRST, 2, a.attnum`

async function othersIn(client: pg.PoolClient): Promise<OtherData[]> {
  const found: OtherData[] = []
  const rows = await ask<[string | null, string, string | null]>(client, OTHERS, [TABLE_NAMES])
  for (const [schema, table, column] of rows) {
    if (schema === null && isTableName(table)) {
      if (column === null || columnsOf(table).some(({ name }) => name === column)) continue
      found.push({ table, column, rows: await countOf(client, table, `count(${quoted(column)})`) })
    } else if (!isKnown(table)) {
      const name = schema === null ? quoted(table) : `${quoted(schema)}.${quoted(table)}`
      found.push({
        table: schema === null ? table : `${schema}.${table}`,
        rows: await countOf(client, name, 'count(*)'),
      })
    }
  }
  return withRows(found)
}

/** `undefined`: the role may not read it, or others hold its lock. */
async function countOf(client: pg.PoolClient, from: string, what: string): Promise<number | undefined> {
  await ask(client, 'SAVEPOINT others')
  try {
    const [row] = await ask<[number]>(client, `SELECT ${what} FROM ${from}`)
    await ask(client, 'RELEASE others')
    return row?.[0]
  } catch (error) {
    if (!(error instanceof StorageError) || error.code === 'UNAVAILABLE') throw error
    await ask(client, 'ROLLBACK TO others')
    return undefined
  }
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
