import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { BackupManifest, BackupOptions, RestoreReport } from '../api.ts'
import { checkPath, databaseOf } from '../config.ts'
import { openConnection } from '../database/sqlite/connection.ts'
import { isSqliteFailure, translated } from '../database/sqlite/errors.ts'
import type { SqliteDatabase } from '../database/sqlite/sqlite-database.ts'
import { StorageError } from '../errors.ts'
import { schemaVersionOf } from '../migrator/sqlite-migrator.ts'
import * as rules from '../schema/rules.ts'
import { type Content, contentOf } from './content-hash.ts'

const SIDECARS = ['-wal', '-shm', '-journal'] as const
/** 4 KiB each; the event loop runs between two steps. */
const PAGES_PER_STEP = 256
const OPTION_RULES: rules.Rules = { onProgress: rules.isFunction, signal: rules.isSignal }

/**
 * Copies everything into one new file, as of the moment it begins. The file gets its name only when it has been verified
 * against what was read; on any failure nothing is left.
 *
 * Rejects with CONFIG if the target is taken, BACKUP_INVALID if the copy is not what was read, the signal's reason, or
 * an error of reading or writing.
 */
export async function backupSqlite(
  database: SqliteDatabase,
  target: string,
  options: BackupOptions,
): Promise<BackupManifest> {
  rules.checkOptions('The options', OPTION_RULES, options)
  return database.withSnapshot(({ raw }) => copyVerified(raw, target, options))
}

/** What is in a backup. Rejects with BACKUP_INVALID for a file that must not be trusted. */
export async function verifyBackup(file: string): Promise<BackupManifest> {
  checkPath(file)
  assertFinished(file)
  try {
    return { file: resolve(file), ...(await inspect(file, undefined)) }
  } catch (error) {
    throw asInvalid(error, file)
  }
}

/**
 * A backup is one file that needs no log. One whose header asks for a log is no backup, and SQLite would put a log beside
 * it; one with a log beside it is in use, or was copied while in use.
 *
 * The header is read only where no log is there: closing a handle on a file that this process has open would drop
 * SQLite's locks on it.
 */
function assertFinished(file: string): void {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (!stats?.isFile()) throw new StorageError('CONFIG', `There is no file at ${file}.`)
  const hasLog = SIDECARS.some((sidecar) => existsSync(file + sidecar))
  if (hasLog || wantsLog(file)) {
    throw new StorageError('BACKUP_INVALID', `${file} is a database, or the copy of one, and no backup. Use backup().`)
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

/** Writes a verified backup to a path where nothing is. Rejects with BACKUP_INVALID, and with CONFIG if it is taken. */
export async function restoreBackup(file: string, url: string): Promise<RestoreReport> {
  const target = databaseOf(url)
  if (target.dialect !== 'sqlite' || target.path === ':memory:') {
    throw new StorageError('CONFIG', 'This version restores a backup to a path of a SQLite file alone.')
  }
  const { path } = target
  for (const sidecar of SIDECARS) {
    if (existsSync(path + sidecar))
      throw new StorageError('CONFIG', `${path}${sidecar} is there: remove it, or choose a path where nothing is.`)
  }
  const verified = await verifyBackup(file)
  const source = openConnection(file, { readOnly: true })
  try {
    source.exec('BEGIN')
    source.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get()
    const copied = await copyVerified(source, path, {})
    return { ...copied, file: verified.file, restoredTo: copied.file }
  } finally {
    source.close()
  }
}

async function copyVerified(source: Sqlite.Database, target: string, options: BackupOptions): Promise<BackupManifest> {
  const expected = await contentOf(source)
  const { file, verified } = await copyOf(source, target, options, (partial) => inspect(partial, expected))
  return { file, ...verified }
}

/**
 * Copies a database under a name that nobody has, once `verify` has found nothing wrong with the copy. On any failure
 * nothing is left. `source` has a read transaction open: without one the copy would begin again at every write of another
 * process.
 */
export async function copyOf<T>(
  source: Sqlite.Database,
  target: string,
  options: BackupOptions,
  verify: (partial: string) => Promise<T>,
): Promise<{ file: string; verified: T }> {
  checkPath(target)
  const file = resolve(target)
  refuseTaken(file)
  createFolder(dirname(file))
  const partial = `${file}.partial-${randomBytes(6).toString('hex')}`
  try {
    // SQLite keeps the mode of a file that is there; one that it creates could be read by others.
    closeSync(openSync(partial, 'wx', 0o600))
    await copyPages(source, partial, options)
    const verified = await verify(partial)
    sync(partial)
    publish(partial, file)
    return { file, verified }
  } catch (error) {
    throw translated(error)
  } finally {
    for (const rest of ['', ...SIDECARS]) rmSync(partial + rest, { force: true })
  }
}

async function copyPages(source: Sqlite.Database, partial: string, options: BackupOptions): Promise<void> {
  options.signal?.throwIfAborted()
  const { totalPages } = await source.backup(partial, {
    progress: ({ totalPages, remainingPages }) => {
      options.signal?.throwIfAborted()
      options.onProgress?.({ copiedPages: totalPages - remainingPages, totalPages })
      return PAGES_PER_STEP
    },
  })
  // It says that it is done, having copied nothing, when the file is locked.
  if (totalPages === 0)
    throw new StorageError('BUSY', 'Another process holds the lock of the database file. Try again.')
  const copy = new Sqlite(partial)
  try {
    // The copy's header says WAL, and would have sidecars; a backup is one file.
    copy.pragma('journal_mode = DELETE')
  } finally {
    copy.close()
  }
}

/** Reads all of a finished file. Throws BACKUP_INVALID if it is damaged, or not what is expected. */
async function inspect(file: string, expected: Content | undefined): Promise<Omit<BackupManifest, 'file'>> {
  const raw = openConnection(file, { readOnly: true })
  try {
    const pages = Number(raw.pragma('page_count', { simple: true })) * Number(raw.pragma('page_size', { simple: true }))
    const { size } = statSync(file)
    const problems = raw.pragma('integrity_check(1)', { simple: true })
    if (problems !== 'ok' || size !== pages) throw new StorageError('BACKUP_INVALID', `${file} is damaged.`)
    const tables = await contentOf(raw)
    if (expected !== undefined && JSON.stringify(tables) !== JSON.stringify(expected)) {
      throw new StorageError('BACKUP_INVALID', `${file} is not what was read: the disk, or the memory, is at fault.`)
    }
    return { bytes: size, schemaVersion: schemaVersionOf(raw), tables }
  } finally {
    raw.close()
  }
}

function asInvalid(error: unknown, file: string): unknown {
  const failure = translated(error)
  const damaged = failure instanceof StorageError && ['CORRUPT', 'SCHEMA_MISMATCH'].includes(failure.code)
  if (!damaged && !isSqliteFailure(error)) return failure
  return new StorageError('BACKUP_INVALID', `${file} is damaged, or no backup of this library's.`, { cause: failure })
}

function createFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new StorageError('CONFIG', `The folder ${folder} cannot be created.`, { cause: error })
  }
}

function refuseTaken(file: string): void {
  if (existsSync(file))
    throw new StorageError('CONFIG', `There is a file at ${file} already, and nothing is ever replaced.`)
}

/** Gives the finished file its name, unless somebody else has taken it meanwhile. */
function publish(partial: string, file: string): void {
  try {
    linkSync(partial, file)
  } catch (error) {
    refuseTaken(file)
    throw new StorageError('CONFIG', `${file} cannot be created.`, { cause: error })
  }
  rmSync(partial)
  sync(dirname(file))
}

/** Only for files that no SQLite handle of this process is on. */
function sync(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
