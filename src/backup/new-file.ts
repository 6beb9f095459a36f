/** Writes a SQLite database into a new file, which gets its name only when it is verified. */
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { BackupOptions } from '../api.ts'
import { sync } from '../database/sqlite/sync.ts'
import { StorageError } from '../errors.ts'
import { translatedFile, unusable } from '../files/file-errors.ts'
import { checkPath } from '../files/path-rules.ts'
import { publish, refuseTaken } from '../files/publish.ts'
import { discard, finished, partialOf, sweepPartials } from './partial.ts'

export const SIDECARS = ['-wal', '-shm', '-journal'] as const
/** Pages of 4 KiB that one step copies. The event loop runs between two steps. */
const PAGES_PER_STEP = 256

interface Steps<T> {
  /** Verifies the finished copy. If it throws, the copy is discarded. */
  readonly verify: (partial: string) => Promise<T>
  /** A file to write beside the new one. It gets its name first. */
  readonly beside?: (verified: T) => { readonly path: string; readonly text: string }
  /** Called when the copy is verified: moves away the file that has the name. For a moment no file has the name. */
  readonly makeRoom?: (() => void) | undefined
}

/**
 * Copies a database. `source` needs an open read transaction: without one the copy would begin again after each write of another
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
  /** Writes the database into an empty file, and closes its handles. */
  readonly fill: (partial: string) => Promise<void>
}

/**
 * Leaves nothing after a failure. Rejects with CONFIG if the target exists, with the signal's reason, with an error of `fill` or
 * `verify`, or with an I/O error.
 */
export async function newFile<T>(
  target: string,
  signal: AbortSignal | undefined,
  { fill, verify, beside, makeRoom }: NewFile<T>,
): Promise<Made<T>> {
  checkPath(target)
  const file = resolve(target)
  // Sweep first: a complete file may still have its unfinished name.
  sweepPartials(file)
  if (makeRoom === undefined) refuseTaken(file)
  createFolder(dirname(file))
  const partial = partialOf(file)
  try {
    // Create the file with mode 0600, which SQLite keeps. SQLite itself would use the umask.
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
    // In exclusive mode SQLite needs no shared-memory file, for which a full disk has no room.
    copy.pragma('locking_mode = EXCLUSIVE')
    // A backup is one file: the copy must not be in WAL mode, which needs sidecars.
    copy.pragma('journal_mode = DELETE')
  } finally {
    copy.close()
  }
}

/** Writes a database's pages into a file in one transaction: after a crash the file is unchanged. */
export async function stepwise(source: Sqlite.Database, target: string, options: BackupOptions): Promise<void> {
  options.signal?.throwIfAborted()
  const { totalPages } = await source.backup(target, {
    progress: ({ totalPages, remainingPages }) => {
      options.onProgress?.({ copiedPages: totalPages - remainingPages, totalPages })
      // Check after `onProgress`, in which the caller may abort: the next step may be the last.
      options.signal?.throwIfAborted()
      return PAGES_PER_STEP
    },
  })
  // If the file is locked, the driver reports success without copying.
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
