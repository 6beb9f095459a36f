/** Recreates missing triggers, indexes, keys and CHECKs of our tables in a SQLite file. */
import type Sqlite from 'better-sqlite3'
import { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { translated } from '../database/sqlite/errors.ts'
import { movedError, prepareFenceQuery } from '../database/sqlite/fence.ts'
import { prepareFile } from '../database/sqlite/file.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { quotedName } from '../schema/described.ts'
import type { Difference, Drift } from './drift.ts'
import { assertNoMove } from './ledger.ts'
import type { Migration } from './migrations.ts'
import {
  assertRepairable,
  assertTablesLeft,
  mayHaveMissedWrites,
  type RepairOptions,
  type RepairReport,
  repairFailed,
  reportFrom,
} from './repair.ts'
import { sqliteDrift, withFresh } from './sqlite-drift.ts'
import { forgetWhatFollowedWrites } from './sqlite-forget.ts'
import { locked, UNCERTAIN } from './sqlite-lock.ts'
import { isUnrecorded, ledgerOf, migrationStatusOf } from './sqlite-migrator.ts'
import { indexesOn, rebuild } from './sqlite-rebuild.ts'

type Backup = (before: string, path: string) => Promise<{ readonly file: string; discard(): void } | undefined>

/** Repairs in one transaction. Throws SCHEMA_MISMATCH if a difference cannot be repaired; then nothing was changed. */
export async function repairSqlite(path: string, options: RepairOptions, backup: Backup): Promise<RepairReport> {
  const busyRetry = new BusyRetry(options.busyTimeoutMs)
  const file = prepareFile(path, { create: false })
  using raw = await busyRetry.run(() => openConnection(file, { readOnly: false }))
  let report: RepairReport = { repaired: [], remaining: [] }
  let copy: Awaited<ReturnType<Backup>>
  try {
    await locked(raw, busyRetry, async () => {
      const { applied } = assertSqliteRepairable(raw)
      if (!options.dryRun && tablesToRebuild(sqliteDrift(raw, applied)).length > 0)
        copy = await backup('repair', raw.name)
      if (options.dryRun) raw.exec('SAVEPOINT dry_run')
      report = repairIn(raw, applied, options.now)
      if (options.dryRun) raw.exec('ROLLBACK TO dry_run')
    })
    return { ...report, ...(copy && { backup: copy.file }) }
  } catch (error) {
    if (!(error instanceof StorageError) || !UNCERTAIN.has(error.code)) copy?.discard()
    throw error
  }
}

function assertSqliteRepairable(raw: Sqlite.Database): { applied: readonly Migration[] } {
  const moved = prepareFenceQuery(raw)()
  if (moved !== undefined) throw movedError(moved)
  assertNoMove(ledgerOf(raw))
  const migrations = migrationStatusOf(raw)
  assertRepairable(migrations, isUnrecorded(raw))
  return migrations
}

/** Must run inside a transaction, with foreign keys off. `applied` made the tables. */
export function repairIn(raw: Sqlite.Database, applied: readonly Migration[], now: Date): RepairReport {
  const before = sqliteDrift(raw, applied)
  assertTablesLeft(before)
  try {
    rebuildTables(raw, tablesToRebuild(before), applied)
    for (const { kind, name, sql } of sqliteDrift(raw, applied).lost) {
      raw.exec(`DROP ${kind} IF EXISTS ${quotedName(name)}`)
      for (const statement of sql) raw.exec(statement)
    }
  } catch (error) {
    throw repairFailed(translated(error))
  }
  const report = reportFrom(before, sqliteDrift(raw, applied))
  if (mayHaveMissedWrites(report)) forgetWhatFollowedWrites(raw, now)
  return report
}

/** Tables that a rebuild repairs: all columns exist, and a key, a CHECK or a part of a column is missing. */
function tablesToRebuild({ differences }: Drift): string[] {
  const own = differences.filter(({ part }) => part === 'column' || part === 'constraint')
  const names = new Set(own.filter(({ kind }) => kind === 'missing').map(({ table }) => table))
  return [...names].filter((name) => {
    const parts = own.filter(({ table }) => table === name)
    const missing = new Set(parts.filter(({ kind }) => kind === 'missing').map(nameOf))
    const found = new Set(parts.filter(({ kind }) => kind === 'unexpected').map(nameOf))
    const areColumnsThere = parts.every((each) => each.part === 'constraint' || found.has(nameOf(each)))
    return (
      areColumnsThere && [...found].every((each) => missing.has(each)) && parts.every(({ kind }) => kind !== 'order')
    )
  })
}

/** `CONSTRAINT nodes_started_flag`, or a column's name. */
const nameOf = ({ part, what }: Difference): string => what.split(' ', part === 'constraint' ? 2 : 1).join(' ')

function rebuildTables(raw: Sqlite.Database, names: readonly string[], applied: readonly Migration[]): void {
  if (names.length === 0) return
  const { sql, columns, ours } = withFresh(applied, (fresh) => ({
    sql: names.map((name) => textOf(fresh, 'table', name)),
    columns: names.map((name) => columnsOf(fresh, name)),
    ours: new Set(fresh.prepare<[], string>('SELECT name FROM sqlite_schema').pluck().all()),
  }))
  refuseTriggers(raw, names, ours)
  const others = names.flatMap((name) => indexesOn(raw, name)).filter(({ name }) => !ours.has(name))
  const tables = names.map((name, index) => ({
    name,
    values: Object.fromEntries((columns[index] ?? []).map((column) => [column, `old.${column}`])),
  }))
  rebuild(raw, tables, () => {
    for (const each of sql) raw.exec(each)
  })
  for (const index of others) raw.exec(index.sql)
}

function refuseTriggers(raw: Sqlite.Database, tables: readonly string[], ours: ReadonlySet<string>): void {
  const triggers = raw
    .prepare<[], [string, string]>("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger'")
    .raw()
    .all()
    .filter(([name, table]) => tables.includes(table) && !ours.has(name))
    .map(([name]) => name)
  if (triggers.length === 0) return
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `The tables ${tables.join(', ')} must be built anew, which drops triggers of other programs: ${triggers.join(', ')}. Nothing was changed. Drop them, repair, and create them again.`,
  )
}

const textOf = (raw: Sqlite.Database, type: string, name: string): string =>
  raw
    .prepare<[string, string], string>('SELECT sql FROM sqlite_schema WHERE type = ? AND name = ?')
    .pluck()
    .get(type, name) ?? ''

const columnsOf = (raw: Sqlite.Database, table: string): string[] =>
  raw.prepare<[string], string>('SELECT name FROM pragma_table_info(?) ORDER BY cid').pluck().all(table)
