/** Backups, loaded on demand: the driver is not needed to import the library. */
import { resolve } from 'node:path'
import type { BackupManifest, RestoreOptions, RestoreReport } from '../api.ts'
import { checkPath } from '../files/path-rules.ts'
import { databaseOf } from '../open/config.ts'

/** At once: when the rest has been loaded, the working folder may be another one. */
function absolute(path: string): string {
  checkPath(path)
  return resolve(path)
}

function absoluteUrl(url: string): string {
  const target = databaseOf(url)
  return target.dialect === 'sqlite' && target.path !== ':memory:' ? resolve(target.path) : url
}

/**
 * Reads all of a backup, compares it with the manifest beside it, and says what is in it. Rejects with BACKUP_INVALID for a
 * file that must not be trusted.
 */
export async function verifyBackup(file: string): Promise<BackupManifest> {
  const path = absolute(file)
  return (await import('./verify.ts')).verifyBackup(path)
}

/**
 * Writes a backup, verified first, to a path of a SQLite file, and brings its schema up to date. What is there is replaced
 * only with `replace: true`, while nobody uses it, and kept as a copy. Or into PostgreSQL, where the database must be empty.
 *
 * Rejects with BACKUP_INVALID; SCHEMA_NEWER for a backup of a newer version that this one cannot work with; CONFIG if the
 * path is taken; BUSY if what is to be replaced is in use. Killed meanwhile, the file is all old or all new.
 */
export async function restoreBackup(file: string, url: string, options?: RestoreOptions): Promise<RestoreReport> {
  const [path, target] = [absolute(file), absoluteUrl(url)]
  return (await import('./restore.ts')).restoreBackup(path, target, options)
}
