/** Names of unfinished files, and the removal of files that killed processes left. */

import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isError } from '../errors.ts'
import { isManifestOf, manifestPath } from './manifest.ts'

/** Suffix of the name of an unfinished file. */
export const PARTIAL = /\.partial-[0-9a-f]{12}(-wal|-shm|-journal)?$/

/** Names of the unfinished files of this process. */
const mine = new Set<string>()
const LARGEST_PID = 0xff_ff_ff

/** Returns a name beside the file that contains this process's id. Call `finished()` with it later. */
export function partialOf(file: string): string {
  // A larger process id does not fit: the largest number stands for it.
  const pid = Math.min(process.pid, LARGEST_PID).toString(16).padStart(6, '0')
  const partial = `${file}.partial-${pid}${randomBytes(3).toString('hex')}`
  mine.add(basename(partial))
  return partial
}

/** Forgets an unfinished file that was renamed or removed. */
export const finished = (partial: string): boolean => mine.delete(basename(partial))

/**
 * Removes unfinished files, and a manifest without its file, that killed processes left for this path. A process of another
 * machine or container counts as ended: both want the same name, which only one can get.
 */
export function sweepPartials(file: string): void {
  const names = namesFrom(file)
  const running = names.filter((name) => PARTIAL.test(name) && isRunning(name))
  const left = names.filter((name) => PARTIAL.test(name) && !running.includes(name))
  // The manifest gets its name first: a process between the two renames still has an unfinished file.
  if (running.length === 0 && !existsSync(file) && isManifestOf(file)) left.push(basename(manifestPath(file)))
  for (const name of left) discard(join(dirname(file), name))
}

/** `mesh.db.partial-…`, `mesh.db.manifest.json.partial-…` */
function namesFrom(file: string): string[] {
  const stems = [file, manifestPath(file)].map((each) => `${basename(each)}.partial-`)
  return namesBeside(file).filter((name) => stems.some((stem) => name.startsWith(stem)))
}

/** Names in the same folder that begin with the file's name; none if the folder is missing or unreadable. */
export function namesBeside(file: string): string[] {
  try {
    return readdirSync(dirname(file)).filter((name) => name.startsWith(basename(file)))
  } catch {
    return []
  }
}

/** Ignores errors: a failed removal must not hide the error that led to it. */
export function discard(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {}
}

function isRunning(name: string): boolean {
  const [, pid = ''] = /\.partial-([0-9a-f]{6})/.exec(name) ?? []
  const number = Number.parseInt(pid, 16)
  if (number === process.pid) return mine.has(name.replace(/-(wal|shm|journal)$/, ''))
  if (number === LARGEST_PID) return true
  try {
    return process.kill(number, 0)
  } catch (error) {
    // EPERM: the process runs as another user.
    return isError(error) && 'code' in error && error.code !== 'ESRCH'
  }
}
