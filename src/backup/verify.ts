import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { BackupManifest } from '../api.ts'
import { StorageError } from '../errors.ts'
import { translatedFile } from '../files/file-errors.ts'
import { checkPath } from '../files/path-rules.ts'
import { isSound } from './integrity.ts'
import { fileHash, readManifest, withFile } from './manifest.ts'
import { SIDECARS } from './new-file.ts'
import { isSameContent, readAll } from './sqlite-backup.ts'

/**
 * Compares a whole backup with its manifest: the file's bytes, then SQLite's integrity check, then each row.
 *
 * Rejects with BACKUP_INVALID for a file that must not be trusted, CONFIG if there is no file.
 */
export async function verifyBackup(file: string): Promise<BackupManifest> {
  checkPath(file)
  try {
    // Resolve now: the working folder may change later.
    return await verified(resolve(file))
  } catch (error) {
    throw translatedFile(error)
  }
}

async function verified(file: string): Promise<BackupManifest> {
  assertFinished(file)
  const manifest = readManifest(file)
  const { size } = statSync(file)
  if (size !== manifest.bytes || (await fileHash(file)) !== manifest.sha256)
    throw new StorageError(
      'BACKUP_INVALID',
      `${file} is not the file that its manifest was written for. Nothing was restored. Use another backup.`,
    )
  try {
    const found = await readAll(file)
    const same = found.schemaVersion === manifest.schemaVersion && isSameContent(found, manifest)
    if (same && (await isSound(file))) return withFile(file, manifest)
    throw new StorageError(
      'BACKUP_INVALID',
      `${file} does not hold the rows that its manifest says. Nothing was restored. Use another backup.`,
    )
  } catch (error) {
    throw asInvalid(error, file)
  }
}

/**
 * Throws BACKUP_INVALID for a file in WAL mode, which is no finished backup, and for a file with a log beside it, which is in use
 * or was copied while in use.
 *
 * Reads the header only if there is no log: closing a handle on a file that this process has open would drop SQLite's locks.
 */
function assertFinished(file: string): void {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats?.isDirectory()) throw new StorageError('CONFIG', `${file} is a folder. Name a backup in it.`)
  if (!stats?.isFile())
    throw new StorageError('CONFIG', `There is no file at ${file}. Check the path and the current folder.`)
  const hasLog = SIDECARS.some((sidecar) => existsSync(file + sidecar))
  if (hasLog || wantsLog(file)) {
    throw new StorageError(
      'BACKUP_INVALID',
      `${file} is a database, or the copy of one, and no backup. Nothing was restored. Make a backup with backup().`,
    )
  }
}

/** Bytes 18 and 19 of the header: 2 for a write-ahead log (https://sqlite.org/fileformat.html). */
function wantsLog(file: string): boolean {
  const header = Buffer.alloc(20)
  const handle = openSync(file, 'r')
  try {
    readSync(handle, header, 0, header.length, 0)
  } finally {
    closeSync(handle)
  }
  return header[18] === 2 || header[19] === 2
}

function asInvalid(error: unknown, file: string): unknown {
  const failure = translatedFile(error)
  const damaged = failure instanceof StorageError && ['CORRUPT', 'SCHEMA_MISMATCH'].includes(failure.code)
  if (!damaged) return failure
  return new StorageError(
    'BACKUP_INVALID',
    `${file} is damaged, or no backup of this library. Nothing was restored. Use another backup.`,
    { cause: failure },
  )
}
