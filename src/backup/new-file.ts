/** Writes a SQLite database into one new file, which gets its name only when it has been looked at. */
import { closeSync, existsSync, linkSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { BackupOptions } from '../api.ts'
import { sync } from '../database/sqlite/sync.ts'
import { StorageError } from '../errors.ts'
import { translatedFile, unusable } from '../files/file-errors.ts'
import { checkPath } from '../files/path-rules.ts'
import { discard, finished, partialOf, sweepPartials } from './partial.ts'

export const SIDECARS = ['-wal', '-shm', '-journal'] as const
/** 4 KiB each; the event loop runs between two steps. */
const PAGES_PER_STEP = 256

interface Steps<T> {
  /** Verifies the finished copy. If it throws, the copy is discarded. */
  readonly verify: (partial: string) => Promise<T>
  /** A text that is put beside the file, and has its name before the file has one. */
  readonly beside?: (verified: T) => { readonly path: string; readonly text: string }
  /** Takes away what has the name, when the copy is ready for it: at once, so that the name is without a file for a moment. */
  readonly makeRoom?: (() => void) | undefined
}

/**
 * Copies a database. `source` has a read transaction open: without one the copy would begin again at every write of another
 * process. Rejects as `newFile` does.
 */
export const copyOf = <T>(
  source: Sqlite.Database,
  target: string,
  options: BackupOptions,
  steps: Steps<T>,
): Promise<Made<T>> =>
  newFile(target, options.signal, { ...steps, fill: (partial) => copyPages(source, partial, options) })

interface Made<T> {
  readonly file: string
  readonly verified: T
}

interface NewFile<T> extends Steps<T> {
  /** Writes the database into an empty file, and leaves no handle on it. */
  readonly fill: (partial: string) => Promise<void>
}

/**
 * On any failure nothing is left. Rejects with CONFIG if the target is taken, the signal's reason, what `fill` and `verify`
 * throw, or an error of reading or writing.
 */
export async function newFile<T>(
  target: string,
  signal: AbortSignal | undefined,
  { fill, verify, beside, makeRoom }: NewFile<T>,
): Promise<Made<T>> {
  checkPath(target)
  const file = resolve(target)
  // First: a file that is whole may still have its unfinished name.
  sweepPartials(file)
  if (makeRoom === undefined) refuseTaken(file)
  createFolder(dirname(file))
  const partial = partialOf(file)
  try {
    // SQLite keeps the mode of a file that is there; one that it creates could be read by others.
    closeSync(openSync(partial, 'wx', 0o600))
    await fill(partial)
    const verified = await verify(partial)
    sync(partial)
    signal?.throwIfAborted()
    const companion = beside?.(verified)
    if (companion !== undefined) publishText(companion)
    try {
      makeRoom?.()
      publish(partial, file)
    } catch (error) {
      if (companion !== undefined) discard(companion.path)
      throw error
    }
    return { file, verified }
  } catch (error) {
    throw translatedFile(error)
  } finally {
    for (const rest of ['', ...SIDECARS]) discard(partial + rest)
    finished(partial)
  }
}

async function copyPages(source: Sqlite.Database, partial: string, options: BackupOptions): Promise<void> {
  await stepwise(source, partial, options)
  const copy = new Sqlite(partial)
  try {
    // Without it there would be a file of shared memory, for which a full disk has no room.
    copy.pragma('locking_mode = EXCLUSIVE')
    // The copy's header says WAL, and would have sidecars; a backup is one file.
    copy.pragma('journal_mode = DELETE')
  } finally {
    copy.close()
  }
}

/** Writes a database's pages into a file, in one transaction of that file's: killed meanwhile, it is as it was. */
export async function stepwise(source: Sqlite.Database, target: string, options: BackupOptions): Promise<void> {
  options.signal?.throwIfAborted()
  const { totalPages } = await source.backup(target, {
    progress: ({ totalPages, remainingPages }) => {
      options.onProgress?.({ copiedPages: totalPages - remainingPages, totalPages })
      // After that: the caller may have had enough, and the next step may be the last.
      options.signal?.throwIfAborted()
      return PAGES_PER_STEP
    },
  })
  // It says that it is done, having copied nothing, when the file is locked.
  if (totalPages === 0)
    throw new StorageError(
      'BUSY',
      'Another process holds the lock of the database file. No backup was made. Try again.',
    )
}

export function createFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unusable(`The folder ${folder} cannot be created. No backup was made. Check the folder above it.`, error)
  }
}

function refuseTaken(file: string): void {
  if (existsSync(file))
    throw new StorageError(
      'CONFIG',
      `There is a file at ${file} already. Nothing was written. Name another file, or remove that one.`,
    )
}

/** Gives the finished file its name, unless somebody else has taken it meanwhile. */
function publish(partial: string, file: string): void {
  try {
    linkSync(partial, file)
  } catch (error) {
    refuseTaken(file)
    throw unusable(`${file} cannot be created. Nothing was written. Check its folder.`, error)
  }
  try {
    rmSync(partial)
    sync(dirname(file))
  } catch (error) {
    discard(file)
    throw error
  }
}

function publishText({ path, text }: { path: string; text: string }): void {
  const partial = partialOf(path)
  try {
    writeFileSync(partial, text, { flag: 'wx', mode: 0o600, flush: true })
    publish(partial, path)
  } finally {
    discard(partial)
    finished(partial)
  }
}
