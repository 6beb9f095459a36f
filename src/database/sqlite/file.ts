import { closeSync, lstatSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isError, StorageError } from '../../errors.ts'

const config = (message: string, cause?: unknown): StorageError => new StorageError('CONFIG', message, { cause })
const isMissing = (error: unknown): boolean => isError(error) && 'code' in error && error.code === 'ENOENT'

/**
 * Checks that SQLite will open the right file, creates it if needed, and returns its real path.
 *
 * A new file gets mode 0600 before SQLite opens it: -wal and -shm take the file's mode. This function opens only a file
 * that it created, and closes it before SQLite opens it. Closing any other handle on a database drops SQLite's locks
 * (https://sqlite.org/howtocorrupt.html, 2.2).
 *
 * Throws CONFIG.
 */
export function prepareFile(path: string, mode: { create: boolean }): string {
  try {
    return prepared(path, mode)
  } catch (error) {
    if (error instanceof StorageError) throw error
    throw config('The path is longer than the file system allows, or its folder cannot be read. Check both.', error)
  }
}

function prepared(path: string, mode: { create: boolean }): string {
  const real = realPath(path, mode)
  let stats = statIfThere(real)
  if (stats === undefined) {
    create(real)
    stats = statSync(real)
  }
  if (stats.isDirectory()) throw config(`${path} is a folder. Name a file in it.`)
  if (!stats.isFile()) throw config(`${path} is no regular file. Name another one.`)
  // Each name of a file gets its own WAL, and two WALs would overwrite each other's pages.
  if (stats.nlink > 1)
    throw config(
      `${path} has ${stats.nlink} names (hard links). SQLite would give each a log of its own. Remove all but one.`,
    )
  return real
}

function realPath(path: string, mode: { create: boolean }): string {
  try {
    return realpathSync.native(path)
  } catch (error) {
    if (!isMissing(error)) throw config(`${path} cannot be opened. Check its owner, its mode and its folder.`, error)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isSymbolicLink()) throw config(`${path} is a link to nowhere. Correct the link.`)
    // Another process created the file at the same time.
    if (found !== undefined) return realPath(path, mode)
    if (!mode.create)
      throw config(
        `There is no database at ${path}. Check the path and the current folder. For a new one run meshstore migrate up.`,
      )
  }
  const folder = dirname(path)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    return join(realpathSync.native(folder), basename(path))
  } catch (error) {
    throw config(`The folder ${folder} cannot be created. Check the folder above it.`, error)
  }
}

function statIfThere(path: string) {
  try {
    return statSync(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw config(`${path} cannot be opened. Check its owner, its mode and its folder.`, error)
  }
}

function create(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    // Another process was first: use its file.
    if (isError(error) && 'code' in error && error.code === 'EEXIST') return
    throw config(`${path} cannot be created. Check its folder.`, error)
  }
}
