/** The tables of the database at a URL, which may be new. */
import { existsSync } from 'node:fs'
import type Sqlite from 'better-sqlite3'
import { type AppMigration, appMigrationsIn, appMigrationsOn } from '../migrator/app-ledger.ts'
import { type Problem, problemOf } from '../migrator/inspection.ts'
import type { MigrationStatus } from '../migrator/ledger.ts'
import { databaseOf } from '../open/config.ts'
import { type DatabaseTables, OUR_TABLES_ALONE } from '../rows/own-tables.ts'

/** The application's migrations that have been applied. */
export async function appMigrationsAt(url: string, busyTimeoutMs: number): Promise<readonly AppMigration[]> {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql') {
    const { onSingle, openSingle } = await import('../database/postgres/single.ts')
    await using pool = openSingle(target, { busyTimeoutMs })
    return await onSingle(pool, appMigrationsOn)
  }
  if (!existsSync(target.path)) return []
  const { openConnection } = await import('../database/sqlite/raw-connection.ts')
  using raw = openConnection(target.path, { readOnly: true })
  return appMigrationsIn(raw)
}

/** The application's migrations in a folder, compared with those that the database has. */
export interface OwnStatus {
  readonly applied: readonly string[]
  readonly pending: readonly string[]
  /** Migrations that a newer version of the application applied. */
  readonly newer: readonly string[]
  readonly problem?: Problem
}

/** Changes nothing. Throws CONFIG if the folder has no migrations for the database, BUSY or UNAVAILABLE. */
export async function ownStatusAt(url: string, migrations: string, busyTimeoutMs: number): Promise<OwnStatus> {
  try {
    const { applied, pending, newer } = await ownMigrationsAt(url, migrations, busyTimeoutMs)
    return { applied: applied.map(({ tag }) => tag), pending: pending.map(({ tag }) => tag), newer }
  } catch (error) {
    return { applied: [], pending: [], newer: [], problem: problemOf(error) }
  }
}

async function ownMigrationsAt(url: string, migrations: string, busyTimeoutMs: number): Promise<MigrationStatus> {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql') {
    const { withPool } = await import('../migrator/postgres-pool.ts')
    const { ownStatusOn } = await import('../migrator/own-postgres.ts')
    return withPool(target, busyTimeoutMs, (pool) => ownStatusOn(pool, { migrations }))
  }
  const { ownStatusIn } = await import('../migrator/own-sqlite.ts')
  return reading(target.path, busyTimeoutMs, (raw) => ownStatusIn(raw, { migrations }))
}

/** Throws SCHEMA_MISMATCH for a bad description of an own table, BUSY, UNAVAILABLE and the like. */
export async function tablesAt(url: string, busyTimeoutMs: number): Promise<DatabaseTables> {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql') {
    const { onSingle, openSingle } = await import('../database/postgres/single.ts')
    const { tablesOn } = await import('../rows/postgres-tables.ts')
    await using pool = openSingle(target, { busyTimeoutMs })
    return await onSingle(pool, tablesOn)
  }
  if (!existsSync(target.path)) return OUR_TABLES_ALONE
  const { tablesIn } = await import('../rows/sqlite-tables.ts')
  return reading(target.path, busyTimeoutMs, tablesIn)
}

async function reading<T>(path: string, busyTimeoutMs: number, read: (raw: Sqlite.Database) => T): Promise<T> {
  const { BusyRetry } = await import('../database/sqlite/busy-retry.ts')
  const { openConnection } = await import('../database/sqlite/raw-connection.ts')
  const { translated } = await import('../database/sqlite/errors.ts')
  try {
    using raw = await new BusyRetry(busyTimeoutMs).run(() => openConnection(path, { readOnly: true }))
    return read(raw)
  } catch (error) {
    throw translated(error)
  }
}
