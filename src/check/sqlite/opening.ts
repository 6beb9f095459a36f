/** Opens the file to look at it, and says why it cannot be opened. */
import type Sqlite from 'better-sqlite3'
import { openConnection } from '../../database/sqlite/connection.ts'
import { isSqliteFailure, translated } from '../../database/sqlite/errors.ts'
import { StorageError } from '../../errors.ts'
import { type Finding, type Findings, RESTORE } from '../findings.ts'
import type { Settings } from '../options.ts'

/** A handle that cannot write, once something could be read with it; `undefined` if nothing can be. Throws BUSY. */
export function openToLook(real: string, { busyTimeoutMs }: Settings, findings: Findings): Sqlite.Database | undefined {
  let raw: Sqlite.Database | undefined
  try {
    raw = openConnection(real, { readOnly: true })
    // In a command line nothing else waits: SQLite may wait by itself.
    raw.pragma(`busy_timeout = ${busyTimeoutMs}`)
    raw.prepare('SELECT count(*) FROM sqlite_schema').get()
    return raw
  } catch (error) {
    raw?.close()
    const failure = translated(error)
    if (!(failure instanceof StorageError)) throw failure
    const why = whyNot(failure)
    if (why === undefined) throw failure
    findings.add({ severity: 'error', message: failure.message, ...why })
    return undefined
  }
}

type Why = Pick<Finding, 'check' | 'advice'> & { readonly message?: string }

/** `undefined`: it says nothing of the file. */
function whyNot({ code, cause }: StorageError): Why | undefined {
  if (code === 'CORRUPT') return { check: 'open', advice: RESTORE }
  if (isSqliteFailure(cause) && cause.code === 'SQLITE_READONLY_ROLLBACK') return INTERRUPTED
  // All that SQLite refuses has a cause; the driver is refused because of its version.
  if (code === 'CONFIG' && cause === undefined) return { check: 'version', advice: 'Install a newer better-sqlite3.' }
  if (code === 'CONFIG' || code === 'READ_ONLY') return { check: 'open', advice: RIGHTS }
  return undefined
}

const RIGHTS =
  'Run this as the user that the application runs as, which must be able to create files in the folder: SQLite keeps its log there.'

/** Whoever may not write cannot undo what is half done. */
const INTERRUPTED: Why = {
  check: 'sidecars',
  message:
    'A write was interrupted: what it left beside the file is needed before anybody can read it, and a check changes nothing.',
  advice:
    'Open the database once with the application, or run meshstore migrate up, as a user that may write the file and its folder. Do not delete what lies beside it.',
}
