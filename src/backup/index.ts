/** Verifies backups. The driver is loaded on demand: importing the library needs none. */
import { resolve } from 'node:path'
import type { BackupManifest } from '../api.ts'
import { checkPath } from '../files/path-rules.ts'

/**
 * Reads a whole backup, compares it with the manifest beside it, and returns the manifest.
 *
 *     const { tables } = await verifyBackup('backups/mesh-20261124T175255123Z.sqlite')
 *
 * @throws {StorageError} BACKUP_INVALID (the file must not be trusted), CONFIG (no such file)
 */
export async function verifyBackup(file: string): Promise<BackupManifest> {
  checkPath(file)
  // Resolve now: the working folder may change while modules are loaded.
  const path = resolve(file)
  return (await import('./verify.ts')).verifyBackup(path)
}
