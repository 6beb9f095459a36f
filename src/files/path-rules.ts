/** Rules for the path of a database file. */
import { existsSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { StorageError } from '../errors.ts'

/** Throws CONFIG for a path that SQLite would take for another one. */
export function checkPath(path: string): void {
  const problem = pathProblem(path)
  if (problem !== undefined) throw new StorageError('CONFIG', `The path ${problem}. Correct the path.`)
}

/** Without links: SQLite puts its log beside the file, not beside a link to it. */
export const realPath = (path: string): string => (existsSync(path) ? realpathSync.native(path) : resolve(path))

/** SQLite would cut the path at a NUL, trim blanks, and open a temporary database for an empty one. */
export function pathProblem(path: unknown): string | undefined {
  if (typeof path !== 'string') return 'must be a string'
  if (path === '') return 'is empty'
  if (path.includes('\0')) return 'must not contain NUL'
  if (path.trim() !== path) return 'must not begin or end with blanks'
  if (!path.isWellFormed()) return 'must be well-formed Unicode'
  if (path.includes('?')) return 'must not contain ?; give options beside the URL'
  // The shell expands it at the beginning of a word alone, and not after `sqlite:`.
  if (/^~(\/|$)/.test(path)) return 'begins with ~, which only a shell turns into the home folder; give the whole path'
  // A typo in a variable (quotes, a lost scheme) must not create a new file, which would then serve.
  if (/^["']|["']$|:\/\/|\/\/[^/]*@/.test(path)) return 'looks like a URL, or like one in quotes'
  return undefined
}
