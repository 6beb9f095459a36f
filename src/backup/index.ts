/** Backups, loaded on demand: the driver is not needed to import the library. */
import type { BackupManifest, RestoreReport } from '../api.ts'

/** Reads all of a backup and says what is in it. Rejects with BACKUP_INVALID for a file that must not be trusted. */
export async function verifyBackup(file: string): Promise<BackupManifest> {
  return (await import('./sqlite-backup.ts')).verifyBackup(file)
}

/**
 * Writes a backup, verified first, to a path where nothing is.
 *
 * Rejects with BACKUP_INVALID, or CONFIG if the path is taken. Nothing is left where it fails.
 */
export async function restoreBackup(file: string, url: string): Promise<RestoreReport> {
  return (await import('./sqlite-backup.ts')).restoreBackup(file, url)
}
