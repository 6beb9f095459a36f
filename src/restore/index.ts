/** Restoring a backup, loaded on demand: no driver is needed to import the library. */
import { resolve } from 'node:path'
import type { RestoreOptions, RestoreReport } from '../api.ts'
import { checkPath } from '../files/path-rules.ts'
import { databaseOf } from '../open/config.ts'

/**
 * Writes a backup, verified first, to a path of a SQLite file, and brings its schema up to date. What is there is replaced
 * only with `replace: true`, while nobody uses it, and kept as a copy. Or into PostgreSQL, where the database must be empty.
 *
 * Rejects with BACKUP_INVALID; SCHEMA_NEWER for a backup of a newer version that this one cannot work with; CONFIG if the
 * path is taken; BUSY if what is to be replaced is in use. Killed meanwhile, the file is all old or all new.
 */
export async function restoreBackup(file: string, url: string, options?: RestoreOptions): Promise<RestoreReport> {
  checkPath(file)
  const target = databaseOf(url)
  // At once: the working folder may be another one when the rest has been loaded.
  const to = target.dialect === 'sqlite' && target.path !== ':memory:' ? resolve(target.path) : url
  const from = resolve(file)
  return (await import('./restore.ts')).restoreBackup(from, to, options)
}
