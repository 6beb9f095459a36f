/** Checks the file's names and the files beside it. It opens nothing: closing a handle would drop SQLite's locks. */
import { lstatSync, type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { prepareFile } from '../../database/sqlite/file.ts'
import type { Findings } from '../findings.ts'
import type { Settings } from '../options.ts'

/** The real path; `undefined` if SQLite must not open it. Throws CONFIG if there is no file. */
export function checkNames(path: string, findings: Findings): string | undefined {
  const isThere = lstatSync(path, { throwIfNoEntry: false }) !== undefined
  if ((!isThere && isLeftBehind(path, findings)) || hasOtherNames(path, findings)) return undefined
  return prepareFile(path, { create: false })
}

/** Reports a write-ahead log without its database file: the log holds the newest writes. */
function isLeftBehind(path: string, findings: Findings): boolean {
  const left = ['-wal', '-journal'].filter((end) => (statIfThere(path + end)?.size ?? 0) > 0)
  for (const end of left)
    findings.add({
      severity: 'error',
      check: 'open',
      message: `There is no database at ${path}, but ${path}${end}, which belongs to one: it was moved or deleted alone.`,
      advice:
        'Bring the database back beside it, and open both together; or, if it is not needed, delete this file too.',
    })
  return left.length > 0
}

function hasOtherNames(path: string, findings: Findings): boolean {
  const stats = statIfThere(path)
  if (!stats?.isFile() || stats.nlink === 1) return false
  findings.add({
    severity: 'error',
    check: 'open',
    message: `${path} has ${stats.nlink} names (hard links): each would have a log of its own, and they would overwrite each other's pages.`,
    advice: `Stop what uses it, find its names with find / -xdev -samefile ${quoted(resolve(path))}, and remove all but one.`,
    count: stats.nlink,
  })
  return true
}

export function checkWalSize(real: string, { walBytes }: Settings, findings: Findings): void {
  const size = statIfThere(`${real}-wal`)?.size ?? 0
  if (size < walBytes) return
  findings.add({
    severity: 'warning',
    check: 'wal-size',
    message: `The write-ahead log has ${Math.round(size / 1_048_576)} MiB: a reader holds an old snapshot, or nobody moves it into the file.`,
    advice:
      'Look for a transaction, a shell or a backup that stands still. When the last one closes the database, it is emptied.',
  })
}

export function statIfThere(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    // This user may not read the folder. The check that needs the file reports that.
    return undefined
  }
}

/** A path as an argument in a shell. */
export const quoted = (path: string): string =>
  /^[\w./+:@-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`
