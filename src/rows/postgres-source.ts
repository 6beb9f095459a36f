import type pg from 'pg'
import type { OtherData } from '../api.ts'
import { translated } from '../database/postgres/errors.ts'
import { IS_VALID } from '../database/postgres/invalidations.ts'
import { ONLY_READS, type PoolMode } from '../database/postgres/pool.ts'
import { assertEncoding, explained } from '../database/postgres/session-control.ts'
import { type Ask, onSingle, openSingle } from '../database/postgres/single.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { StorageError } from '../errors.ts'
import { appMigrationsOn } from '../migrator/app-ledger.ts'
import { checkPostgres, schemaVersionOf } from '../migrator/postgres-migrator.ts'
import { type Cell, keyCell } from '../schema/cells.ts'
import { quotedName as quoted } from '../schema/described.ts'
import { kindOf } from '../schema/kinds.ts'
import type { Table } from '../schema/tables.ts'
import { isKnown, withRows } from './other-data.ts'
import { tableIn } from './own-tables.ts'
import { tablesOn } from './postgres-tables.ts'
import { nextLimit, SLICE_ROWS, type Snapshot, type SourceOptions } from './source.ts'

/**
 * DEFERRABLE waits for a moment of which no later conflict can take anything back: an export of an hour must not fail at
 * its end. It waits for every serializable transaction of the whole server that writes, so that one which is left open would
 * keep it waiting for ever; then a snapshot as of now has to do: of whole transactions, too, though perhaps one that no order
 * of them explains (https://www.postgresql.org/docs/current/transaction-iso.html).
 */
const WAYS = ['SERIALIZABLE READ ONLY DEFERRABLE', 'REPEATABLE READ READ ONLY'] as const
const LONGEST_WAIT_MS = 2_000
/** The output's reader may be slow: the transaction may stand idle. The settings keep times exact on any role. */
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
  await using pool = openSingle(reader, { busyTimeoutMs, mode, readOnly: true })
  await checked(pool, target, anySchema)
  // Nothing is written: with the connection the transaction is gone.
  return await onSingle(pool, async (ask, client) => {
    await begin(ask)
    return work(snapshotOf(ask, await versionIn(client)))
  })
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

async function begin(ask: Ask): Promise<void> {
  for (const way of WAYS) {
    await ask(`BEGIN ISOLATION LEVEL ${way}`)
    for (const setting of SETTINGS) await ask(setting)
    if (way === WAYS[1]) return
    await ask(`SET LOCAL statement_timeout = ${LONGEST_WAIT_MS}`)
    try {
      // BEGIN does not choose the moment; the first query does.
      await ask('SELECT 1')
      await ask('SET LOCAL statement_timeout TO DEFAULT')
      return
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'TIMEOUT') throw error
      await ask('ROLLBACK')
    }
  }
}

/** Snapshot of a connection with an open transaction. `asStored`: includes invalidated cached paths. */
export const snapshotOf = (ask: Ask, schemaVersion: string, { asStored = false } = {}): Snapshot => ({
  schemaVersion,
  tables: () => tablesOn(ask),
  appMigrations: () => appMigrationsOn(ask),
  count: async (table) => {
    const [row] = await ask<[number]>(
      `SELECT count(*) FROM ${quoted(table.name)} WHERE ${asStored ? 'true' : await valid(ask, table)}`,
    )
    return row?.[0] ?? 0
  },
  slices: (table, after) => slicesOf(ask, table, asStored, after),
  orphans: () => [],
  // No value there is anything but what it is here.
  stored: (table, cells) => ({
    row: Object.fromEntries(table.columns.map(({ name }, index) => [name, cells[index] as Cell])),
  }),
  others: () => othersIn(ask),
})

/** Cached paths that have been invalidated and not yet been swept are left out. Older schemas have no marks. */
async function valid(ask: Ask, table: Table): Promise<string> {
  if (table.name !== 'path_cache') return 'true'
  const [row] = await ask<[boolean]>("SELECT to_regclass('path_cache_stamps') IS NOT NULL")
  return row?.[0] === true ? IS_VALID : 'true'
}

/** A list's own text, as on SQLite: the driver would parse it. */
export const columnsAsText = ({ columns }: Table): string =>
  columns
    .map((column) => (kindOf(column).postgres === 'jsonb' ? `${quoted(column.name)}::text` : quoted(column.name)))
    .join(', ')

/** Keys in the order of their bytes: an own table's column may have the database's collation. */
const keyOf = ({ key }: Table): string => `${quoted(key.name)} COLLATE "C"`

/**
 * Pages by key. How many rows the next one has follows from the size of those of the last. It is asked for while the last is
 * worked on: two are held at a time.
 */
async function* slicesOf(ask: Ask, table: Table, asStored: boolean, after?: string): AsyncGenerator<unknown[][]> {
  const select = `SELECT ${columnsAsText(table)} FROM ${quoted(table.name)} WHERE ${asStored ? 'true' : await valid(ask, table)}`
  const key = keyOf(table)
  // The first page is small: its rows may be a megabyte each.
  let limit = SLICE_ROWS / 20
  const page = (behind: unknown): Promise<unknown[][]> =>
    behind === undefined
      ? ask(`${select} ORDER BY ${key} LIMIT $1`, [limit])
      : ask(`${select} AND ${key} > $2 ORDER BY ${key} LIMIT $1`, [limit, behind])
  let asked = page(after)
  for (;;) {
    const rows = await asked
    if (rows.length < limit) {
      if (rows.length > 0) yield rows
      return
    }
    limit = nextLimit(rows, SLICE_ROWS)
    asked = page(keyCell(table, rows.at(-1) ?? []))
    // Mark the rejection as handled: the next page's `await` throws it.
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

async function othersIn(ask: Ask): Promise<OtherData[]> {
  const found: OtherData[] = []
  const { tables } = await tablesOn(ask)
  const names = tables.map(({ name }) => name)
  const rows = await ask<[string | null, string, string | null]>(OTHERS, [names])
  for (const [schema, table, column] of rows) {
    const ours = schema === null ? tableIn(tables, table) : undefined
    if (ours !== undefined) {
      if (column === null || ours.columns.some(({ name }) => name === column)) continue
      found.push({ table, column, rows: await countOf(ask, table, `count(${quoted(column)})`) })
    } else if (!isKnown(table)) {
      const name = schema === null ? quoted(table) : `${quoted(schema)}.${quoted(table)}`
      found.push({
        table: schema === null ? table : `${schema}.${table}`,
        rows: await countOf(ask, name, 'count(*)'),
      })
    }
  }
  return withRows(found)
}

/** `undefined`: the role may not read it, or others hold its lock. */
async function countOf(ask: Ask, from: string, what: string): Promise<number | undefined> {
  await ask('SAVEPOINT others')
  try {
    const [row] = await ask<[number]>(`SELECT ${what} FROM ${from}`)
    await ask('RELEASE others')
    return row?.[0]
  } catch (error) {
    if (!(error instanceof StorageError) || error.code === 'UNAVAILABLE') throw error
    await ask('ROLLBACK TO others')
    return undefined
  }
}
