import { closeSync, lstatSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isError, StorageError } from '../../errors.ts'

const config = (message: string, cause?: unknown): StorageError => new StorageError('CONFIG', message, { cause })
const isMissing = (error: unknown): boolean => isError(error) && 'code' in error && error.code === 'ENOENT'

/**
 * Makes sure that there is a file to open and that SQLite will open that one, and returns its real path.
 *
 * Creates it with mode 0600 before SQLite sees it, since -wal and -shm take the modes of the file when they are created.
 * Only a file that this call created is ever opened with `fs`, and closed before SQLite opens it: closing any other
 * handle on a database drops SQLite's locks on it (https://sqlite.org/howtocorrupt.html, 2.2).
 *
 * Throws CONFIG.
 */
export function prepareFile(path: string, mode: { create: boolean }): string {
  try {
    return prepared(path, mode)
  } catch (error) {
    if (error instanceof StorageError) throw error
    throw config(
      'The path cannot be used: it is longer than the file system allows, or its folder cannot be read.',
      error,
    )
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
  if (!stats.isFile()) throw config(`${path} is no regular file.`)
  // A second name would have a WAL of its own, and each would overwrite the other's pages.
  if (stats.nlink > 1)
    throw config(`${path} has ${stats.nlink} names (hard links). Remove all but one; SQLite needs it so.`)
  return real
}

function realPath(path: string, mode: { create: boolean }): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (!isMissing(error)) throw config(`${path} cannot be opened.`, error)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isSymbolicLink()) throw config(`${path} is a link to nowhere.`)
    // Another process has created it in this moment.
    if (found !== undefined) return realPath(path, mode)
    if (!mode.create) throw config(`There is no database at ${path}.`)
  }
  const folder = dirname(path)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    return join(realpathSync(folder), basename(path))
  } catch (error) {
    throw config(`The folder ${folder} cannot be created.`, error)
  }
}

function statIfThere(path: string) {
  try {
    return statSync(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw config(`${path} cannot be opened.`, error)
  }
}

function create(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    // Another process was first: its file is as good.
    if (isError(error) && 'code' in error && error.code === 'EEXIST') return
    throw config(`${path} cannot be created.`, error)
  }
}
