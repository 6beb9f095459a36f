/** Checks the rights on the file and its folder. */
import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Findings } from '../findings.ts'
import { quoted, statIfThere } from './file.ts'

export function checkRights(real: string, findings: Findings): void {
  if (process.platform === 'win32') findings.skip('Windows has no such modes.', 'file-rights')
  else {
    const sidecars = ['-wal', '-shm', '-journal'].map((end) => real + end)
    checkModes([real, ...sidecars.filter((path) => existsSync(path))], findings)
    checkFolder(dirname(real), findings)
  }
  const advice = 'Run this, and the application, as the user that owns the file, or give it to that user with chown.'
  if (!may(real, constants.R_OK)) {
    findings.add({ severity: 'error', check: 'file-rights', message: `This user may not read ${real}.`, advice })
    return
  }
  if (!may(real, constants.W_OK))
    findings.add({ severity: 'warning', check: 'file-rights', message: `This user may not write ${real}.`, advice })
  if (!may(dirname(real), constants.W_OK | constants.X_OK))
    findings.add({
      severity: 'warning',
      check: 'file-rights',
      message: `This user may not write the folder ${dirname(real)}, where SQLite must be able to create its log.`,
      advice,
    })
}

const modeOf = (file: string): number => (statIfThere(file)?.mode ?? 0) & 0o777
/** The rights of the group and of other users. */
const OTHERS = 0o077

/** SQLite gives its write-ahead log the file's mode. */
function checkModes(files: readonly string[], findings: Findings): void {
  const open = files.filter((file) => modeOf(file) & OTHERS)
  const [first] = open
  if (first === undefined) return
  const mode = open.reduce((all, file) => all | modeOf(file), 0)
  const who = [...(mode & 0o070 ? ['its group'] : []), ...(mode & 0o007 ? ['everybody'] : [])]
  const what = [...(mode & 0o044 ? ['read'] : []), ...(mode & 0o022 ? ['written'] : [])]
  const shown = modeOf(first).toString(8).padStart(3, '0')
  findings.add({
    severity: 'warning',
    check: 'file-rights',
    message: `${first} may be ${what.join(' and ') || 'used'} by ${who.join(' and ')} (mode ${shown}).`,
    advice: `chmod 600 ${open.map(quoted).join(' ')}`,
  })
}

/** Reports a world-writable folder: any user can replace the file there. The sticky bit prevents that. */
function checkFolder(folder: string, findings: Findings): void {
  const mode = statIfThere(folder)?.mode ?? 0
  if ((mode & 0o002) === 0 || (mode & 0o1000) !== 0) return
  findings.add({
    severity: 'warning',
    check: 'file-rights',
    message: `Everybody may write the folder ${folder}, and so replace the file.`,
    advice: `chmod o-w ${quoted(folder)}`,
  })
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
