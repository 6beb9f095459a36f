/** Lease: one process at a time makes the scheduled backup in a folder that several processes share. */

import { closeSync, openSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { isError } from '../errors.ts'
import { machineTime } from '../event-loop.ts'
import { translatedFile } from './file-errors.ts'

/** Looks like an unfinished file's suffix, so that the sweep of unfinished files removes it. */
const SUFFIX = '.partial-000000000000'
const REFRESHED_EVERY_MS = 10_000
/** A lease that was not refreshed for this long belongs to a process that has ended. */
const LOST_AFTER_MS = 60_000

/**
 * Returns a function that releases the lease; `undefined` if another process holds it. All processes use the same `file`, whose
 * folder must exist. `now` is compared with the times of files that other processes touch: the machine's clock. Throws StorageErrors.
 */
export function acquireLease(file: string, now = machineTime): (() => void) | undefined {
  const path = file + SUFFIX
  try {
    dropLost(path, now())
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return undefined
    throw translatedFile(error)
  }
  const timer = setInterval(() => touch(path, now()), REFRESHED_EVERY_MS)
  timer.unref()
  let released = false
  return () => {
    // Only the first call removes the file: later it may be another process's lease.
    if (!released) rmSync(path, { force: true })
    released = true
    clearInterval(timer)
  }
}

function dropLost(path: string, now: Date): void {
  const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  if (touched === undefined || Math.abs(now.getTime() - touched) < LOST_AFTER_MS) return
  // Several processes may find the lease lost. The rename succeeds in one of them.
  const mine = `${path.slice(0, -12)}${process.pid.toString(16).padStart(12, '0')}`
  try {
    renameSync(path, mine)
    rmSync(mine, { force: true })
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

function touch(path: string, now: Date): void {
  try {
    utimesSync(path, now, now)
  } catch {
    // Ignore the error: the backup reports a failing disk.
  }
}

const codeOf = (error: unknown): unknown => (isError(error) && 'code' in error ? error.code : undefined)
