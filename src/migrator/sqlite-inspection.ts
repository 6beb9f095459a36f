import type Sqlite from 'better-sqlite3'
import { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { isSqliteFailure, translated } from '../database/sqlite/errors.ts'
import { prepareFile } from '../database/sqlite/file.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { record } from './apply-sqlite.ts'
import { longestMatch, type RecordedMigrations, refusedStatus, type Status, statusFrom } from './inspection.ts'
import { migrationsOf } from './migrations.ts'
import { adoptionOf, previewAdoption } from './sqlite-adoption.ts'
import { sqliteDrift } from './sqlite-drift.ts'
import { originOf } from './sqlite-file.ts'
import { locked } from './sqlite-lock.ts'
import { isUnrecorded, ledgerOf, migrationStatusOf } from './sqlite-migrator.ts'
import { repairIn } from './sqlite-repair.ts'
import { timeOf } from './steps.ts'

/** Throws CONFIG if there is no such file. Changes nothing. */
export async function inspectSqlite(path: string, busyTimeoutMs = 5_000): Promise<Status> {
  const busyRetry = new BusyRetry(busyTimeoutMs)
  const file = prepareFile(path, { create: false })
  try {
    return await look(file, busyRetry)
  } catch (error) {
    if (!(error instanceof StorageError && isSqliteFailure(error.cause))) throw error
    if (error.cause.code !== 'SQLITE_READONLY_ROLLBACK') throw error
    await rollBackIn(file, busyRetry)
    return look(file, busyRetry)
  }
}

/** A program was killed in the middle of a transaction: a connection that may write rolls it back when it reads. */
async function rollBackIn(file: string, busyRetry: BusyRetry): Promise<void> {
  using raw = await busyRetry.run(() => openConnection(file, { readOnly: false }))
  raw.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get()
}

async function look(file: string, busyRetry: BusyRetry): Promise<Status> {
  using raw = await busyRetry.run(() => openConnection(file, { readOnly: true }))
  try {
    raw.exec('BEGIN')
    return await busyRetry.run(() => statusOf(raw))
  } catch (error) {
    throw translated(error)
  }
}

async function statusOf(raw: Sqlite.Database): Promise<Status> {
  const nothing = {
    dialect: 'sqlite',
    applied: [],
    pending: [],
    newer: [],
    foreign: [],
    drift: undefined,
    others: [],
  } as const
  try {
    if (isUnrecorded(raw)) {
      const adoption = await previewAdoption(raw)
      const refused = adoption.tables.reduce((sum, table) => sum + table.refused, 0)
      const status = { ...nothing, pending: migrationsOf('sqlite').map(({ tag }) => tag), adoption }
      if (refused === 0) return { ...status, state: 'adoptable' }
      const message = `${refused} rows of another program's cannot be kept. Nothing was changed. Correct them, or run meshstore migrate adopt --quarantine FILE.`
      return { ...status, state: 'refused', problem: { code: 'SCHEMA_MISMATCH', message } }
    }
    const migrations = migrationStatusOf(raw)
    const adopted = migrations.applied.length > 0 ? adoptionOf(raw) : undefined
    return { ...statusFrom('sqlite', migrations, sqliteDrift(raw, migrations.applied)), ...(adopted && { adopted }) }
  } catch (error) {
    const unrecorded = originOf(raw) === 'library' && isUnrecorded(raw)
    return { ...refusedStatus(nothing, translated(error)), ...(unrecorded && { unrecorded }) }
  }
}

/**
 * Records in the ledger which migrations made the tables, and creates missing triggers and indexes. Use: a database that
 * lost its ledger, or that drizzle/sqlite.sql or drizzle-kit push made. Returns no tags if there was a ledger.
 */
export async function adoptSqlite(path: string, busyTimeoutMs: number): Promise<RecordedMigrations> {
  const recorded: string[] = []
  let repaired: RecordedMigrations['repaired'] = []
  const busyRetry = new BusyRetry(busyTimeoutMs)
  const file = prepareFile(path, { create: false })
  using raw = await busyRetry.run(() => openConnection(file, { readOnly: false }))
  await locked(raw, busyRetry, async () => {
    if (!isUnrecorded(raw) || originOf(raw) !== 'library') return
    const made = await longestMatch(migrationsOf('sqlite'), ledgerOf(raw).notes, (migrations) =>
      sqliteDrift(raw, migrations),
    )
    const now = timeOf({})
    for (const migration of made) {
      record(raw, migration, now)
      recorded.push(migration.tag)
    }
    repaired = repairIn(raw, made, now).repaired
  })
  return { recorded, repaired }
}
