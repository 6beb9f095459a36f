/** An application's migrations and tables on SQLite. The twin is own-postgres.ts. */
import type Sqlite from 'better-sqlite3'
import type { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { isSqliteFailure, translated } from '../database/sqlite/errors.ts'
import { note, noteIn } from '../database/sqlite/notes.ts'
import { StorageError } from '../errors.ts'
import { performance } from '../event-loop.ts'
import { quotedName } from '../schema/described.ts'
import type { Table } from '../schema/tables.ts'
import { ownTriggersOnSqlite } from '../schema/trigger-sql.ts'
import { sqliteTriggerNames } from '../schema/triggers.ts'
import { APP_LEDGER } from './app-ledger.ts'
import { assertNoMove, LEDGER, type MigrationStatus } from './ledger.ts'
import type { Migration } from './migrations.ts'
import { assertNoMoreOrphans, orphansIn } from './orphans.ts'
import { misplaced, ownMigrations, ownStatus } from './own-migrations.ts'
import {
  assertOursUntouched,
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
import { hasTable } from './sqlite-file.ts'
import { forgetWhatFollowedWrites } from './sqlite-forget.ts'
import { addTo, createLedger, rowsIn } from './sqlite-ledger.ts'
import { locked } from './sqlite-lock.ts'
import { ledgerOf } from './sqlite-migrator.ts'
import { type MigrationOptions, timeOf } from './steps.ts'
import { assertNoTransactionControl, LeftTransaction } from './transaction-control.ts'

const knownTo = ({ migrations }: Pick<OwnSetup, 'migrations'>): Migration[] =>
  migrations === undefined ? [] : ownMigrations(migrations, 'sqlite')

const ownLedger = (raw: Sqlite.Database, known: readonly Migration[]) => ({
  rows: rowsIn(raw, APP_LEDGER),
  misplaced: misplaced(known, ledgerOf(raw).rows),
})

/** Which of the application's migrations are applied. Throws CONFIG, and what `ownStatus` throws. */
export function ownStatusIn(raw: Sqlite.Database, setup: Pick<OwnSetup, 'migrations'>): MigrationStatus {
  const known = knownTo(setup)
  const { rows, misplaced } = ownLedger(raw, known)
  return ownStatus(known, [...rows, ...misplaced])
}

/** Changes nothing. Throws what keeps the application from using the database as it is. */
export function checkOwnSqlite(raw: Sqlite.Database, setup: OwnSetup): void {
  const { pending } = ownStatusIn(raw, setup)
  if (pending.length > 0) throw pendingOwn(pending)
  assertSettled(raw, setup)
}

/** Throws SCHEMA_MISMATCH with what the application's tables lack. */
export function assertSettled(raw: Sqlite.Database, { tables }: OwnSetup): void {
  const works = worksIn(raw, tables)
  if (works.length > 0) throw unsettled(works)
}

/** After the library's migrations, under the same lock and by the same rules. An existing file is backed up first. */
export async function migrateOwnSqlite(
  raw: Sqlite.Database,
  busyRetry: BusyRetry,
  setup: OwnSetup,
  options: MigrationOptions,
): Promise<void> {
  const known = knownTo(setup)
  for (let backup = options.backup; ; ) {
    const ledger = await busyRetry.run(() => ownLedger(raw, known))
    const [next] = ownStatus(known, [...ledger.rows, ...ledger.misplaced]).pending
    if (next === undefined && ledger.misplaced.length === 0) break
    let copy: { discard(): void } | undefined
    const work = async (): Promise<void> => {
      // Looks before moveRows() makes the application's ledger, which counts as something to lose.
      const hadRows = hasRows(raw)
      moveRows(raw, known)
      const [pending] = ownStatus(known, ownLedger(raw, known).rows).pending
      if (pending === undefined) return
      assertNoMove(ledgerOf(raw))
      assertNoTransactionControl(pending)
      if (!raw.memory && hadRows) copy = await backup?.(pending.tag, raw.name)
      backup = undefined
      const begun = performance.now()
      apply(raw, pending)
      options.onApplied?.({ tag: pending.tag, milliseconds: performance.now() - begun })
    }
    await locked(raw, busyRetry, work).catch((error) => {
      // Otherwise nothing was changed.
      if (!(error instanceof LeftTransaction)) copy?.discard()
      throw error
    })
  }
  if ((await busyRetry.run(() => worksIn(raw, setup.tables))).length === 0) return
  await locked(raw, busyRetry, async () => {
    const works = worksIn(raw, setup.tables)
    // A renamed table would log each change under both names.
    for (const gone of goneFrom(raw)) if (gone.isRenamed) forget(raw, gone)
    for (const { table } of works) settle(raw, table, timeOf(options))
    if (works.some(({ hasLost }) => hasLost)) forgetWhatFollowedWrites(raw, timeOf(options))
  })
}

/** Whether the file has anything to lose. */
const hasRows = (raw: Sqlite.Database): boolean =>
  ['nodes', 'policies', 'path_cache'].some(
    (table) => raw.prepare(`SELECT 1 FROM ${table} LIMIT 1`).get() !== undefined,
  ) || hasTable(raw, APP_LEDGER)

/** Rows that drizzle-kit wrote into the library's ledger. */
function moveRows(raw: Sqlite.Database, known: readonly Migration[]): void {
  createLedger(raw, APP_LEDGER)
  const { rows, misplaced } = ownLedger(raw, known)
  for (const { hash, when } of misplaced) {
    if (!rows.some((row) => row.hash === hash))
      addTo(raw, APP_LEDGER, { hash, when, tag: known.find((each) => each.hash === hash)?.tag ?? '' })
    raw.prepare(`DELETE FROM ${LEDGER} WHERE hash = ?`).run(hash)
  }
}

function apply(raw: Sqlite.Database, migration: Migration): void {
  const orphans = orphansIn(raw)
  const before = oursIn(raw)
  const goneBefore = goneFrom(raw).map(({ row }) => row)
  try {
    raw.exec(`SAVEPOINT ${WHOLE}`)
    for (const statement of migration.statements) {
      raw.exec(statement)
      if (!raw.inTransaction) throw new LeftTransaction(migration)
    }
    assertOursUntouched(migration, before, oursIn(raw))
    for (const gone of goneFrom(raw)) if (!gone.isRenamed && !goneBefore.includes(gone.row)) forget(raw, gone)
    assertNoMoreOrphans(raw, orphans)
    addTo(raw, APP_LEDGER, migration)
    if (!isWhole(raw)) throw new LeftTransaction(migration)
  } catch (error) {
    if (error instanceof LeftTransaction) throw error
    const failure = translated(error)
    // SQLite's message names tables and columns, and no values.
    const cause = failure instanceof StorageError ? failure.cause : undefined
    const isSyntax = isSqliteFailure(cause) && cause.code === 'SQLITE_ERROR'
    // By itself SQLite ends the transaction after a full disk for example, and never after a mistake in a statement.
    if (!isWhole(raw) && (raw.inTransaction || isSyntax)) throw new LeftTransaction(migration, failure)
    throw failedOwn(migration, isSyntax ? new StorageError('SCHEMA_MISMATCH', `${cause.message}.`, { cause }) : failure)
  }
}

/** The savepoint around a migration: it is gone once the migration has ended its transaction, also if it began another one. */
const WHOLE = 'meshstore_migration'

function isWhole(raw: Sqlite.Database): boolean {
  try {
    raw.exec(`RELEASE ${WHOLE}`)
    return true
  } catch {
    return false
  }
}

function goneFrom(raw: Sqlite.Database): Gone[] {
  const rows = raw
    .prepare<[], [string, string]>(`SELECT name, value FROM meshstore_state WHERE name LIKE '${TABLE_ROW}%'`)
    .raw()
    .all()
  return rows.flatMap(([row, value]): Gone[] => {
    const table = tableIn(row, value)
    if (table === undefined || hasTable(raw, table.name.toLowerCase())) return []
    return [{ row, table, isRenamed: sqliteTriggerNames(table).some((name) => hasTrigger(raw, name)) }]
  })
}

const hasTrigger = (raw: Sqlite.Database, name: string): boolean =>
  raw.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ?").get(name) !== undefined

function forget(raw: Sqlite.Database, { row, table }: Gone): void {
  for (const name of sqliteTriggerNames(table)) raw.exec(`DROP TRIGGER IF EXISTS ${quotedName(name)}`)
  raw.prepare('DELETE FROM meshstore_state WHERE name = ?').run(row)
}

/** Everything in the schema that belongs to a table, as text. */
const oursIn = (raw: Sqlite.Database): Map<string, string> =>
  new Map(
    raw
      .prepare<[], [string, string]>(
        `SELECT tbl_name, group_concat(type || name || coalesce(sql, ''), ';') FROM
         (SELECT lower(tbl_name) AS tbl_name, type, name, sql FROM sqlite_schema ORDER BY name) GROUP BY 1`,
      )
      .raw()
      .all(),
  )

function worksIn(raw: Sqlite.Database, tables: readonly Table[]): Work[] {
  return tables.flatMap((table) => workFor(table, foundIn(raw, table), sqliteTriggerNames) ?? [])
}

export function foundIn(raw: Sqlite.Database, { name }: Pick<Table, 'name'>): FoundTable {
  const columns = raw
    .prepare<[string], { name: string; isNullable: number; hasDefault: number; isKey: number }>(
      `SELECT name, NOT "notnull" AND NOT pk AS isNullable, dflt_value IS NOT NULL AS hasDefault, pk > 0 AS isKey
       FROM pragma_table_info(?)`,
    )
    .all(name)
    .map((column) => ({
      name: column.name,
      isNullable: column.isNullable === 1,
      hasDefault: column.hasDefault === 1,
      isKey: column.isKey === 1,
    }))
  const triggers = raw
    .prepare<[string], string>("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?")
    .pluck()
    .all(name)
  return { columns, triggers: new Set(triggers), description: noteIn(raw, `${TABLE_ROW}${name}`) }
}

/** Makes the table's triggers and its row in `meshstore_state` anew. */
function settle(raw: Sqlite.Database, table: Table, now: Date): void {
  for (const name of sqliteTriggerNames(table)) raw.exec(`DROP TRIGGER IF EXISTS ${quotedName(name)}`)
  for (const sql of ownTriggersOnSqlite(table)) raw.exec(sql)
  const [name, value] = rowOfTable(table)
  note(raw, name, value, now)
}
