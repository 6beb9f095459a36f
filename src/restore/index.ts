/** Restores a backup. The drivers are loaded on demand: importing the library needs none. */
import { resolve } from 'node:path'
import type { RestoreOptions, RestoreReport } from '../api.ts'
import { checkPath } from '../files/path-rules.ts'
import { databaseOf } from '../open/config.ts'

/**
 * Verifies a backup, writes it to a SQLite file or an empty PostgreSQL database, and brings the schema up to date. An existing file is
 * replaced only with `replace: true` and while no process uses it; a copy of it is kept. If the process is killed, the file is either
 * the old one or the new one.
 *
 * @throws {StorageError} BACKUP_INVALID, SCHEMA_NEWER (the backup is of a newer version that this one cannot work with), CONFIG (the
 * path is taken, or the database is not empty), BUSY (the file to replace is in use)
 */
export async function restoreBackup(file: string, url: string, options?: RestoreOptions): Promise<RestoreReport> {
  checkPath(file)
  const target = databaseOf(url)
  // Resolve now: the working folder may change while modules are loaded.
  const to = target.dialect === 'sqlite' && target.path !== ':memory:' ? resolve(target.path) : url
  const from = resolve(file)
  return (await import('./restore.ts')).restoreBackup(from, to, options)
}
