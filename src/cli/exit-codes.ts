/** Exit codes. They are stable: scripts depend on them. */
import type { StorageErrorCode } from '../errors.ts'

export const EXIT = {
  done: 0,
  failed: 1,
  /** Arguments, a URL or the environment cannot be used. */
  usage: 2,
  /** Work is pending: migrations, an adoption, or warnings of `check`. */
  pending: 3,
  /** The database is damaged or has an unexpected schema: an operator must act. */
  person: 4,
  /** A lock was held, or the server was away: the same command may succeed later. */
  later: 5,
} as const

export const EXIT_HELP = `
Exit codes:
  0  done, or nothing to do
  1  failed
  2  the arguments, the URL or the environment cannot be used
  3  something waits to be done: migrations are pending, or check has warnings
  4  the database is not as it should be: a person has to look
  5  the database was busy or away: try again later
`

const CODES: Partial<Record<StorageErrorCode, number>> = {
  CONFIG: EXIT.usage,
  VALIDATION: EXIT.usage,
  MISUSE: EXIT.usage,
  SCHEMA_MISMATCH: EXIT.person,
  SCHEMA_NEWER: EXIT.person,
  MIGRATION_EDITED: EXIT.person,
  MIGRATION_MISSING: EXIT.person,
  MIGRATION_OUT_OF_ORDER: EXIT.person,
  CORRUPT: EXIT.person,
  BACKUP_INVALID: EXIT.person,
  MOVED: EXIT.person,
  BUSY: EXIT.later,
  TIMEOUT: EXIT.later,
  UNAVAILABLE: EXIT.later,
}

export const exitCodeOf = (code: StorageErrorCode): number => CODES[code] ?? EXIT.failed
