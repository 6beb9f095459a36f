/** An application's migrations and tables on PostgreSQL. The twin is own-sqlite.ts. */
import type pg from 'pg'
import { sqlstateOf, translated } from '../database/postgres/errors.ts'
import { surviving } from '../database/postgres/failover.ts'
import { note } from '../database/postgres/notes.ts'
import { isError, StorageError } from '../errors.ts'
import { quotedName } from '../schema/described.ts'
import { OUR_TABLES, type Table } from '../schema/tables.ts'
import { dropTriggersOnPostgres, ownTriggersOnPostgres } from '../schema/trigger-sql.ts'
import { postgresTriggerNames } from '../schema/triggers.ts'
import { APP_LEDGER } from './app-ledger.ts'
import { type Applying, applyPending } from './apply-postgres.ts'
import { statementsWith } from './concurrent-indexes.ts'
import { assertNoMove, LEDGER, type LedgerRow, type MigrationStatus } from './ledger.ts'
import type { Migration } from './migrations.ts'
import { grantSql } from './own-grants.ts'
import { misplaced, ownMigrations, ownStatus } from './own-migrations.ts'
import {
  assertOursUntouched,
  type FoundColumn,
  type FoundTable,
  failedOwn,
  type Gone,
  type OwnSetup,
  pendingOwn,
  rowOfTable,
  TABLE_ROW,
  tableIn,
  unsettled,
  type Work,
  workFor,
} from './own-tables.ts'
import { forgetWhatFollowedWrites } from './postgres-forget.ts'
import { addTo, createLedger, rowsOn } from './postgres-ledger.ts'
import { locked } from './postgres-lock.ts'
import { asOwner, ledgerOf } from './postgres-migrator.ts'
import type { Queryable } from './postgres-missing.ts'
import { type MigrationOptions, timeOf } from './steps.ts'
import { assertNoTransactionControl, LeftTransaction } from './transaction-control.ts'

const HAS_LEDGER = `SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
  WHERE nspname = 'drizzle' AND relname = '${APP_LEDGER}'`
const knownTo = ({ migrations }: Pick<OwnSetup, 'migrations'>): Migration[] =>
  migrations === undefined ? [] : ownMigrations(migrations, 'postgresql')

async function ownLedger(
  on: Queryable,
  known: readonly Migration[],
): Promise<{ rows: LedgerRow[]; misplaced: LedgerRow[] }> {
  const rows = (await on.query(HAS_LEDGER)).rowCount === 1 ? await rowsOn(on, APP_LEDGER) : []
  return { rows, misplaced: misplaced(known, (await ledgerOf(on)).rows) }
}

/** Which of the application's migrations are applied. Throws CONFIG, and what `ownStatus` throws. */
export async function ownStatusOn(on: Queryable, setup: Pick<OwnSetup, 'migrations'>): Promise<MigrationStatus> {
  const known = knownTo(setup)
  const { rows, misplaced } = await ownLedger(on, known)
  return ownStatus(known, [...rows, ...misplaced])
}

/** Whether nothing is to be done. Throws what keeps the application from using the database as it is. */
export async function checkOwnPostgres(pool: pg.Pool, setup: OwnSetup, mode: 'apply' | 'check'): Promise<boolean> {
  const known = knownTo(setup)
  const ledger = known.length === 0 ? { rows: [], misplaced: [] } : await ownLedger(pool, known)
  const { pending } = ownStatus(known, [...ledger.rows, ...ledger.misplaced])
  if (pending.length > 0) {
    if (mode === 'apply') return false
    throw pendingOwn(pending)
  }
  const works = await worksOn(pool, setup.tables)
  if (works.length > 0 && mode === 'check') throw unsettled(works)
  return works.length === 0 && ledger.misplaced.length === 0
}

/** Throws SCHEMA_MISMATCH with what the application's tables lack. */
export async function assertSettled(pool: pg.Pool, { tables }: OwnSetup): Promise<void> {
  const works = await worksOn(pool, tables)
  if (works.length > 0) throw unsettled(works)
}

/** After the library's migrations, under the same lock and by the same rules. */
export const migrateOwnPostgres = (pool: pg.Pool, setup: OwnSetup, options: MigrationOptions): Promise<void> =>
  surviving(pool, () => migrateOwn(pool, setup, options))

async function migrateOwn(pool: pg.Pool, setup: OwnSetup, options: MigrationOptions): Promise<void> {
  const known = knownTo(setup)
  const applying: Applying = {
    isPending: async () => {
      const { rows, misplaced } = await ownLedger(pool, known)
      return ownStatus(known, [...rows, ...misplaced]).pending.length > 0 || misplaced.length > 0
    },
    nextIn: async (client) => {
      const { rows, misplaced } = await ownLedger(client, known)
      const [next] = ownStatus(known, [...rows, ...misplaced]).pending
      if (next === undefined) return undefined
      assertNoMove(await ledgerOf(client))
      assertNoTransactionControl(next)
      return next
    },
    // An index on a table of the library's is refused in the transaction.
    untouched: OUR_TABLES,
    prepare: (client) => moveRows(client, known),
    apply,
    failed: failedOwn,
  }
  await applyPending(pool, applying, options).catch(asOwners)
  if ((await worksOn(pool, setup.tables)).length === 0) return
  await locked(pool, {
    work: async (client) => {
      const works = await worksOn(client, setup.tables)
      // A renamed table would log each change under both names.
      for (const gone of await goneFrom(client)) if (gone.isRenamed) await forget(client, gone)
      for (const { table } of works) await settle(client, table, timeOf(options))
      if (works.some(({ hasLost }) => hasLost)) await forgetWhatFollowedWrites(client, timeOf(options))
    },
  }).catch(asOwners)
}

/** Names the owner in the error of a role that may not change the schema. */
function asOwners(error: unknown): never {
  throw asOwner(translated(error))
}

async function moveRows(client: pg.PoolClient, known: readonly Migration[]): Promise<void> {
  await createLedger(client, APP_LEDGER)
  const { rows, misplaced } = await ownLedger(client, known)
  for (const { hash, when } of misplaced) {
    const tag = known.find((each) => each.hash === hash)?.tag ?? ''
    if (!rows.some((row) => row.hash === hash)) await addTo(client, APP_LEDGER, { hash, when, tag })
    await client.query(`DELETE FROM drizzle.${LEDGER} WHERE hash = $1`, [hash])
  }
  await grant(client, `SELECT ON drizzle.${APP_LEDGER}`)
}

async function apply(client: pg.PoolClient, migration: Migration): Promise<void> {
  const transaction = await transactionOf(client)
  try {
    const before = await oursOn(client)
    const goneBefore = (await goneFrom(client)).map(({ row }) => row)
    for (const statement of await statementsWith(client, migration)) {
      await client.query(statement)
      if (!(await isIn(client, transaction))) throw new LeftTransaction(migration)
    }
    assertOursUntouched(migration, before, await oursOn(client))
    for (const gone of await goneFrom(client))
      if (!gone.isRenamed && !goneBefore.includes(gone.row)) await forget(client, gone)
    await addTo(client, APP_LEDGER, migration)
  } catch (error) {
    if (error instanceof LeftTransaction) throw error
    if (await isCommitted(client, transaction)) throw new LeftTransaction(migration, translated(error))
    throw failedOwn(migration, inTheServersWords(error))
  }
}

/** The transaction's id, which it gets here at the latest. */
async function transactionOf(client: pg.PoolClient): Promise<string | undefined> {
  const { rows } = await client.query<{ id: string }>('SELECT pg_current_xact_id()::text AS id')
  return rows[0]?.id
}

/** Whether it is still the same transaction: a COMMIT and a BEGIN would leave another one. */
async function isIn(client: pg.PoolClient, id: string | undefined): Promise<boolean> {
  const { rows } = await client.query<{ id: string | null }>('SELECT pg_current_xact_id_if_assigned()::text AS id')
  return rows[0]?.id === id
}

/** Ends what is left of the transaction. A lost connection answers nothing: the error that told of it says enough. */
async function isCommitted(client: pg.PoolClient, id: string | undefined): Promise<boolean> {
  try {
    await client.query('ROLLBACK')
    const { rows } = await client.query<{ status: string }>('SELECT pg_xact_status($1::xid8) AS status', [id])
    return rows[0]?.status === 'committed'
  } catch {
    return false
  }
}

/**
 * The server's message on a statement that it cannot read or whose names it does not find (class 42): it names tables and columns.
 * Other messages may hold values.
 */
function inTheServersWords(error: unknown): unknown {
  const failure = asOwner(translated(error))
  const isOfStatement =
    failure instanceof StorageError && failure.code === 'SCHEMA_MISMATCH' && sqlstateOf(error)?.startsWith('42')
  if (!isOfStatement || !isError(error)) return failure
  return new StorageError('SCHEMA_MISMATCH', `${error.message}. (${sqlstateOf(error)})`, { cause: failure.cause })
}

const GONE_TABLES = `SELECT name, value, EXISTS (
       SELECT FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_namespace ON pg_namespace.oid = pronamespace
       WHERE nspname = current_schema() AND proname = 'meshstore_log_' || substr(name, ${TABLE_ROW.length + 1})) AS "isRenamed"
     FROM meshstore_state
     WHERE name LIKE '${TABLE_ROW}%' AND to_regclass(quote_ident(substr(name, ${TABLE_ROW.length + 1}))) IS NULL`

async function goneFrom(on: Queryable): Promise<Gone[]> {
  const { rows } = await on.query<{ name: string; value: string; isRenamed: boolean }>(GONE_TABLES)
  return rows.flatMap(({ name, value, isRenamed }) => {
    const table = tableIn(name, value)
    return table === undefined ? [] : [{ row: name, table, isRenamed }]
  })
}

/** The functions of triggers outlive a table that is dropped. */
async function forget(client: pg.PoolClient, { row, table }: Gone): Promise<void> {
  for (const sql of dropTriggersOnPostgres(table)) await client.query(sql)
  await client.query('DELETE FROM meshstore_state WHERE name = $1', [row])
}

/** Columns, constraints, indexes and triggers of the library's tables, as text. Foreign keys to them are others'. */
async function oursOn(on: Queryable): Promise<Map<string, string>> {
  const { rows } = await on.query<{ name: string; parts: string }>(
    `SELECT relname AS name, concat_ws(';',
       (SELECT string_agg(attname || format_type(atttypid, atttypmod) || attnotnull, ',' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0),
       (SELECT string_agg(conname || pg_get_constraintdef(oid), ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid),
       (SELECT string_agg(pg_get_indexdef(indexrelid), ',' ORDER BY indexrelid) FROM pg_index WHERE indrelid = c.oid),
       (SELECT string_agg(pg_get_triggerdef(oid), ',' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
     ) AS parts
     FROM pg_class AS c JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE nspname = current_schema() AND relname = ANY ($1)`,
    [OUR_TABLES],
  )
  return new Map(rows.map(({ name, parts }) => [name, parts]))
}

async function worksOn(on: Queryable, tables: readonly Table[]): Promise<Work[]> {
  if (tables.length === 0) return []
  const found = await foundOn(
    on,
    tables.map(({ name }) => name),
  )
  const none: FoundTable = { columns: [], triggers: new Set(), description: undefined }
  return tables.flatMap((table) => workFor(table, found.get(table.name) ?? none, postgresTriggerNames) ?? [])
}

type FoundRow = [name: string, columns: string | null, triggers: string | null, description: string | null]

/** One question for all tables: this runs at every open. */
const FOUND_TABLES = `SELECT t.name,
       (SELECT json_agg(json_build_object('name', attname, 'isNullable', NOT attnotnull, 'hasDefault', atthasdef OR attidentity <> '', 'isKey', EXISTS (
          SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype = 'p' AND attnum = ANY (conkey))))
        FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(t.name)) AND attnum > 0 AND NOT attisdropped)::text AS columns,
       (SELECT json_agg(tgname)::text FROM pg_trigger
        WHERE tgrelid = to_regclass(quote_ident(t.name)) AND NOT tgisinternal AND tgenabled IN ('O', 'A')) AS triggers,
       (SELECT value FROM meshstore_state AS s WHERE s.name = '${TABLE_ROW}' || t.name) AS description
     FROM unnest($1::text[]) AS t(name)`

const foundOf = ([, columns, triggers, description]: FoundRow): FoundTable => ({
  columns: JSON.parse(columns ?? '[]') as FoundColumn[],
  triggers: new Set(JSON.parse(triggers ?? '[]') as string[]),
  description: description ?? undefined,
})

/** By name. */
export async function foundTables(
  ask: (sql: string, values: readonly unknown[]) => Promise<readonly unknown[][]>,
  names: readonly string[],
): Promise<Map<string, FoundTable>> {
  const rows = (await ask(FOUND_TABLES, [names])) as FoundRow[]
  return new Map(rows.map((row) => [row[0], foundOf(row)]))
}

const foundOn = (on: Queryable, names: readonly string[]): Promise<Map<string, FoundTable>> =>
  foundTables(async (sql, values) => {
    const { rows } = await on.query<Record<string, string | null>>(sql, [...values])
    return rows.map(({ name, columns, triggers, description }) => [name, columns, triggers, description])
  }, names)

/** Makes the table's triggers, its rights and its row in `meshstore_state` anew. */
async function settle(client: pg.PoolClient, table: Table, now: Date): Promise<void> {
  for (const sql of ownTriggersOnPostgres(table)) await client.query(sql)
  await grant(client, `SELECT, INSERT, UPDATE, DELETE ON ${quotedName(table.name)}`)
  const [name, value] = rowOfTable(table)
  await note((text, values) => client.query(text, values), name, value, now)
}

/** Grants a right to the application's role, if that role exists. */
const grant = (client: pg.PoolClient, what: string): Promise<unknown> => client.query(grantSql(what))
