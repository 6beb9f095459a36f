/** Backups, loaded on demand: no driver is needed to import the library. */
import { resolve } from 'node:path'
import type { BackupManifest } from '../api.ts'
import { checkPath } from '../files/path-rules.ts'

/**
 * Reads all of a backup, compares it with the manifest beside it, and says what is in it. Rejects with BACKUP_INVALID for a
 * file that must not be trusted.
 */
export async function verifyBackup(file: string): Promise<BackupManifest> {
  checkPath(file)
  // At once: the working folder may be another one when the rest has been loaded.
  const path = resolve(file)
  return (await import('./verify.ts')).verifyBackup(path)
}
