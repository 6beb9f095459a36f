/** Checks and copies the file that a restore replaces, and puts it back if the restore fails. */
import { existsSync, renameSync, statSync } from 'node:fs'
import type Sqlite from 'better-sqlite3'
import { copiesBefore, copyBeforeMigration as copyBefore, nameBefore } from '../backup/before-migration.ts'
import { isSound } from '../backup/integrity.ts'
import { manifestPath } from '../backup/manifest.ts'
import { SIDECARS } from '../backup/new-file.ts'
import { isBusy } from '../database/sqlite/errors.ts'
import { prepareFile } from '../database/sqlite/file.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { machineTime } from '../event-loop.ts'
import { translatedFile } from '../files/file-errors.ts'

/** Changes with every write, by whatever program. */
export type FileVersion = string

export interface SafetyCopy {
  /** Path of the copy of the old file. */
  readonly path?: string
  /** Version of the file to overwrite; `undefined` if there is no file, or one that cannot be overwritten. */
  readonly version?: FileVersion
  /** Moves away what cannot be overwritten. */
  readonly makeRoom?: () => void
  /** Undoes the preparation after a failure that wrote nothing. */
  readonly undo: () => Promise<void>
}

/** `empty`: a file of zero bytes. Throws CONFIG if the path is not a file's, or has sidecars without their file. */
export function preflightTarget(path: string): 'absent' | 'empty' | 'taken' {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) {
    for (const sidecar of SIDECARS) {
      if (!existsSync(path + sidecar)) continue
      throw new StorageError(
        'CONFIG',
        `${path}${sidecar} is there. Nothing was changed. Remove it, or choose another path.`,
      )
    }
    return 'absent'
  }
  if (!stats.isFile())
    throw new StorageError('CONFIG', `${path} is no regular file. Nothing was changed. Choose another path.`)
  return stats.size === 0 && !SIDECARS.some((sidecar) => existsSync(path + sidecar)) ? 'empty' : 'taken'
}

/**
 * Copies the file to a name beside it, and leaves the file without a write-ahead log. A file that SQLite cannot read is moved
 * there instead. Throws BUSY if another connection has the file open.
 */
export async function makeSafetyCopy(path: string, signal: AbortSignal | undefined): Promise<SafetyCopy> {
  const found = preflightTarget(path)
  if (found === 'absent') return { undo: async () => {} }
  if (found === 'empty') return { version: fileVersionOf(path), undo: async () => {} }
  try {
    return await copied(path, signal)
  } catch (error) {
    const failure = translatedFile(error)
    if (!(failure instanceof StorageError) || failure.code !== 'CORRUPT') throw failure
    return byMoving(path)
  }
}

async function copied(path: string, signal: AbortSignal | undefined): Promise<SafetyCopy> {
  using raw = openConnection(prepareFile(path, { create: false }), { readOnly: false })
  try {
    leaveWalMode(raw)
    // The lock keeps other processes from writing until the version is read.
    raw.exec('BEGIN IMMEDIATE')
    if (!isWithoutWal(raw)) throw inUse()
    const { file: safetyCopy, discard } = await copyBefore(path, 'restore', { signal })
    const version = fileVersionOf(path)
    const undo = async (): Promise<void> => {
      // Keep the copy if the rollback failed and left the file damaged.
      if (await isSound(path)) discard()
    }
    return { path: safetyCopy, version, undo }
  } catch (error) {
    throw isBusy(error) ? inUse() : error
  } finally {
    if (raw.inTransaction) raw.exec('ROLLBACK')
  }
}

/**
 * Throws BUSY if another connection has the file open. Like any open and close, this moves the log of a killed process into
 * the file.
 */
export function assertNotInUse(path: string): void {
  try {
    lockAlone(path)
  } catch (error) {
    const failure = translatedFile(error)
    if (isBusy(failure)) throw inUse()
    // The restore moves away a file that SQLite cannot read.
    if (!(failure instanceof StorageError) || failure.code !== 'CORRUPT') throw failure
  }
}

function lockAlone(path: string): void {
  using raw = openConnection(prepareFile(path, { create: false }), { readOnly: false })
  // In WAL mode only the sole connection gets an exclusive lock.
  raw.pragma('locking_mode = EXCLUSIVE')
  raw.exec('BEGIN EXCLUSIVE')
  raw.exec('ROLLBACK')
}

function byMoving(path: string): SafetyCopy {
  const name = nameBefore(path, 'restore', machineTime())
  const undo = async (): Promise<void> => {
    if (!existsSync(path) && existsSync(name)) move(name, path)
  }
  return { path: name, makeRoom: () => move(path, name), undo }
}

/** Renames the file before its log: SQLite would apply a log that is left behind to the next file of that name. */
function move(from: string, to: string): void {
  for (const end of ['', ...SIDECARS]) if (existsSync(from + end)) renameSync(from + end, to + end)
}

/** Renames the log of a damaged file, if an earlier restore was killed after it renamed the file. */
export function finishInterruptedRename(path: string): void {
  if (existsSync(path)) return
  const name = copiesBefore(path, 'restore').at(-1)
  if (name === undefined || existsSync(manifestPath(name))) return
  if (!SIDECARS.some((end) => existsSync(name + end))) move(path, name)
}

/** Only the sole connection can leave WAL mode: this detects a running application. */
function leaveWalMode(raw: Sqlite.Database): void {
  raw.pragma('journal_mode = DELETE')
  if (!isWithoutWal(raw)) throw inUse()
}

const isWithoutWal = (raw: Sqlite.Database): boolean => raw.pragma('journal_mode', { simple: true }) === 'delete'

const inUse = (): StorageError =>
  new StorageError('BUSY', 'The database is in use. Nothing was changed. Stop the programs that use it, then restore.')

/** Throws BUSY if another process has written since. Call it while you hold the write lock. */
export function assertUntouched(path: string, { version }: SafetyCopy): void {
  if (fileVersionOf(path) !== version) throw inUse()
}

/** Uses stat(), which opens no handle: closing a handle would drop SQLite's locks. */
function fileVersionOf(path: string): FileVersion {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true })
  return `${ino} ${size} ${mtimeNs}`
}
