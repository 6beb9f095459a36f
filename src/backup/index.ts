/** Backups, loaded on demand: the driver is not needed to import the library. */
import type { BackupManifest, RestoreOptions, RestoreReport } from '../api.ts'

/**
 * Reads all of a backup, compares it with the manifest beside it, and says what is in it. Rejects with BACKUP_INVALID for a
 * file that must not be trusted.
 */
export async function verifyBackup(file: string): Promise<BackupManifest> {
  return (await import('./verify.ts')).verifyBackup(file)
}

/**
 * Writes a backup, verified first, to a path of a SQLite file, and brings its schema up to date. What is there is replaced
 * only with `replace: true`, while nobody uses it, and kept as a copy.
 *
 * Rejects with BACKUP_INVALID; SCHEMA_NEWER for a backup of a newer version that this one cannot work with; CONFIG if the
 * path is taken; BUSY if what is to be replaced is in use. Killed meanwhile, the file is all old or all new.
 */
export async function restoreBackup(file: string, url: string, options?: RestoreOptions): Promise<RestoreReport> {
  return (await import('./restore.ts')).restoreBackup(file, url, options)
}
