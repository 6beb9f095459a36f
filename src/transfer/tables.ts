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
    await using pool = openSingle(target, { busyTimeoutMs })
    return await onSingle(pool, appMigrationsOn)
  }
  if (!existsSync(target.path)) return []
  const { openConnection } = await import('../database/sqlite/raw-connection.ts')
  using raw = openConnection(target.path, { readOnly: true })
  return appMigrationsIn(raw)
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
  const { BusyRetry } = await import('../database/sqlite/busy-retry.ts')
  const { openConnection } = await import('../database/sqlite/raw-connection.ts')
  const { translated } = await import('../database/sqlite/errors.ts')
  const { tablesIn } = await import('../rows/sqlite-tables.ts')
  try {
    using raw = await new BusyRetry(busyTimeoutMs).run(() => openConnection(target.path, { readOnly: true }))
    return tablesIn(raw)
  } catch (error) {
    throw translated(error)
  }
}
