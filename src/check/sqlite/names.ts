/** The file's names and what lies beside it. Nothing is opened: see file.ts on what closing a handle does. */
import { existsSync, lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { prepareFile } from '../../database/sqlite/file.ts'
import { PARTIAL } from '../../files/partial.ts'
import type { Findings } from '../findings.ts'
import type { Limits } from '../options.ts'
import { quoted } from './shell.ts'

/** The real path; `undefined` if SQLite must not open it. Throws CONFIG if there is no file. */
export function checkNames(path: string, findings: Findings): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined && isLeftBehind(path, findings)) return undefined
  if (hasOtherNames(path, findings)) return undefined
  const real = prepareFile(path, { create: false })
  if (found?.isSymbolicLink())
    findings.add({
      severity: 'info',
      check: 'links',
      message: `${path} is a symbolic link to ${real}; SQLite keeps its log there.`,
      advice: 'Nothing, as long as everybody reaches the file itself by one name.',
    })
  return real
}

/** The newest writes are in the log, and of no use without the file. */
function isLeftBehind(path: string, findings: Findings): boolean {
  const left = ['-wal', '-journal'].filter((end) => (statIfThere(path + end)?.size ?? 0) > 0)
  for (const end of left)
    findings.add({
      severity: 'error',
      check: 'sidecars',
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
    check: 'links',
    message: `${path} has ${stats.nlink} names (hard links): each would have a log of its own, and they would overwrite each other's pages.`,
    advice: `Stop what uses it, find its names with find / -xdev -samefile ${quoted(resolve(path))}, and remove all but one.`,
    count: stats.nlink,
  })
  return true
}

export function checkWalSize(real: string, { walBytes }: Limits, findings: Findings): void {
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

/** So long after it was touched, nobody is working on an unfinished file any more. */
const ABANDONED_AFTER_MS = 86_400_000

export function checkUnfinished(real: string, now: Date, findings: Findings): void {
  const folder = dirname(real)
  for (const name of readdirSync(folder).sort()) {
    if (!PARTIAL.test(name)) continue
    const file = join(folder, name)
    const stats = statIfThere(file)
    if (stats === undefined) continue
    const abandoned = now.getTime() - stats.mtimeMs > ABANDONED_AFTER_MS
    findings.add({
      severity: abandoned ? 'warning' : 'info',
      check: 'unfinished-files',
      message: `${file} is part of a backup or an export that was interrupted${abandoned ? '' : ', or goes on'}.`,
      advice: `${abandoned ? 'Delete it' : 'Delete it once none goes on'}: rm ${quoted(file)}`,
    })
  }
}

export const sidecarsOf = (real: string): string[] =>
  ['-wal', '-shm', '-journal'].map((end) => real + end).filter((path) => existsSync(path))

export function statIfThere(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    // Not even that may be asked: what needs it says so.
    return undefined
  }
}
