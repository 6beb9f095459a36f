/** The tables of the database at a URL, which may be new. */
import { existsSync } from 'node:fs'
import { type AppMigration, appMigrationsIn, appMigrationsOn } from '../migrator/app-ledger.ts'
import { databaseOf } from '../open/config.ts'
import { type DatabaseTables, OUR_TABLES_ALONE } from '../rows/own-tables.ts'

/** The application's migrations that have been applied. */
export async function appMigrationsAt(url: string, busyTimeoutMs: number): Promise<readonly AppMigration[]> {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql') {
    const { onSingle, openSingle } = await import('../database/postgres/single.ts')
    const pool = openSingle(target, { busyTimeoutMs })
    try {
      return await onSingle(pool, appMigrationsOn)
    } finally {
      await pool.end()
    }
  }
  if (!existsSync(target.path)) return []
  const { openConnection } = await import('../database/sqlite/raw-connection.ts')
  const raw = openConnection(target.path, { readOnly: true })
  try {
    return appMigrationsIn(raw)
  } finally {
    raw.close()
  }
}

/** Throws SCHEMA_MISMATCH for a bad description of an own table, BUSY, UNAVAILABLE and the like. */
export async function tablesAt(url: string, busyTimeoutMs: number): Promise<DatabaseTables> {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql') {
    const { onSingle, openSingle } = await import('../database/postgres/single.ts')
    const { tablesOn } = await import('../rows/postgres-tables.ts')
    const pool = openSingle(target, { busyTimeoutMs })
    try {
      return await onSingle(pool, tablesOn)
    } finally {
      await pool.end()
    }
  }
  if (!existsSync(target.path)) return OUR_TABLES_ALONE
  const { BusyRetry } = await import('../database/sqlite/busy-retry.ts')
  const { openConnection } = await import('../database/sqlite/raw-connection.ts')
  const { translated } = await import('../database/sqlite/errors.ts')
  const { tablesIn } = await import('../rows/sqlite-tables.ts')
  try {
    const raw = await new BusyRetry(busyTimeoutMs).run(() => openConnection(target.path, { readOnly: true }))
    try {
      return tablesIn(raw)
    } finally {
      raw.close()
    }
  } catch (error) {
    throw translated(error)
  }
}
