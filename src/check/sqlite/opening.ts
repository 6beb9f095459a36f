/** Opens the file read-only, and reports why it cannot be opened. */
import type Sqlite from 'better-sqlite3'
import { isSqliteFailure, translated } from '../../database/sqlite/errors.ts'
import { openConnection } from '../../database/sqlite/raw-connection.ts'
import { StorageError } from '../../errors.ts'
import { type Findings, RESTORE } from '../findings.ts'
import type { Settings } from '../options.ts'

/** A read-only handle that has read a page; `undefined` if the file cannot be read. Throws BUSY. */
export function openToLook(real: string, { busyTimeoutMs }: Settings, findings: Findings): Sqlite.Database | undefined {
  let raw: Sqlite.Database | undefined
  try {
    raw = openConnection(real, { readOnly: true })
    // SQLite may block here: on the command line no other work waits.
    raw.pragma(`busy_timeout = ${busyTimeoutMs}`)
    raw.prepare('SELECT count(*) FROM sqlite_schema').get()
    return raw
  } catch (error) {
    raw?.close()
    const failure = translated(error)
    if (!(failure instanceof StorageError)) throw failure
    const why = whyNot(failure)
    if (why === undefined) throw failure
    findings.add({ severity: 'error', check: 'open', message: failure.message, ...why })
    return undefined
  }
}

interface Why {
  readonly advice: string
  readonly message?: string
}

/** `undefined` if the error does not concern the file. */
function whyNot({ code, cause }: StorageError): Why | undefined {
  if (code === 'CORRUPT') return { advice: RESTORE }
  if (isSqliteFailure(cause) && cause.code === 'SQLITE_READONLY_ROLLBACK') return INTERRUPTED
  // SQLite's errors have a cause. An error without a cause refuses the driver's version.
  if (code === 'CONFIG' && cause === undefined) return { advice: 'Install a newer better-sqlite3.' }
  if (code === 'CONFIG' || code === 'READ_ONLY') return { advice: RIGHTS }
  return undefined
}

const RIGHTS =
  'Run this as the user that the application runs as, which must be able to create files in the folder: SQLite keeps its log there.'

/** Reports a hot journal: a read-only handle cannot roll back an interrupted write. */
const INTERRUPTED: Why = {
  message:
    'A write was interrupted: what it left beside the file is needed before anybody can read it, and a check changes nothing.',
  advice:
    'Open the database once with the application, or run meshstore migrate up, as a user that may write the file and its folder. Do not delete what lies beside it.',
}
