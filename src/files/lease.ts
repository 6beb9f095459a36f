/** One at a time: who makes the scheduled backup in a folder that several processes use. */

import { closeSync, openSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { isError } from '../errors.ts'
import { translatedFile } from './file-errors.ts'

/** Like an unfinished file's, so that it is removed with those. */
const SUFFIX = '.partial-000000000000'
const REFRESHED_EVERY_MS = 10_000
/** So long after it was touched, its process is not there any more. */
const LOST_AFTER_MS = 60_000

/**
 * Gives back what releases it; `undefined` if another process has it. `file` is the same for all of them; its folder is there.
 * Throws StorageErrors.
 */
export function acquireLease(file: string): (() => void) | undefined {
  const path = file + SUFFIX
  try {
    dropLost(path)
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return undefined
    throw translatedFile(error)
  }
  const timer = setInterval(() => touch(path), REFRESHED_EVERY_MS)
  timer.unref()
  let released = false
  return () => {
    // Once: afterwards it may be another's.
    if (!released) rmSync(path, { force: true })
    released = true
    clearInterval(timer)
  }
}

function dropLost(path: string): void {
  const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  if (touched === undefined || Math.abs(Date.now() - touched) < LOST_AFTER_MS) return
  // Under a name that nobody else has: of those who find it lost at once, one removes it.
  const mine = `${path.slice(0, -12)}${process.pid.toString(16).padStart(12, '0')}`
  try {
    renameSync(path, mine)
    rmSync(mine, { force: true })
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

function touch(path: string): void {
  const now = new Date()
  try {
    utimesSync(path, now, now)
  } catch {
    // It is gone, or the disk fails: the backup says so.
  }
}

const codeOf = (error: unknown): unknown => (isError(error) && 'code' in error ? error.code : undefined)
