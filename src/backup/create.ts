/** Backs up an open database of either dialect. */
import { resolve } from 'node:path'
import type { BackupManifest, BackupOptions } from '../api.ts'
import { MovableDatabase } from '../database/movable-database.ts'
import type { Database } from '../database/session.ts'
import { misuse } from '../errors.ts'
import { checkPath } from '../files/path-rules.ts'

export async function createBackup(
  database: Database,
  target: string,
  options: BackupOptions,
  now: () => Date,
): Promise<BackupManifest> {
  const refused = database.refusal()
  if (refused !== undefined) throw refused
  checkPath(target)
  // Resolve now: the working folder may change while modules are loaded.
  const path = resolve(target)
  // The file stays open until the backup is done.
  if (database instanceof MovableDatabase)
    return database.onCurrent((current) => createBackup(current, path, options, now))
  if (database.dialect === 'sqlite') {
    const { SqliteDatabase } = await import('../database/sqlite/sqlite-database.ts')
    const { backupSqlite } = await import('./sqlite-backup.ts')
    if (database instanceof SqliteDatabase) return backupSqlite(database, path, options, now)
  } else {
    const { PostgresDatabase } = await import('../database/postgres/postgres-database.ts')
    const { backupPostgres } = await import('./postgres-backup.ts')
    if (database instanceof PostgresDatabase) return backupPostgres({ ...database.server, now }, path, options)
  }
  throw misuse('This database cannot be backed up. Open a store of a file or of PostgreSQL.')
}
