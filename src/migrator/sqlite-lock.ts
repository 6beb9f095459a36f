/** The lock under which a SQLite file's schema is changed. */
import type Sqlite from 'better-sqlite3'
import type { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { translated } from '../database/sqlite/errors.ts'

/** Codes of an indeterminate commit. */
export const UNCERTAIN: ReadonlySet<string> = new Set(['UNAVAILABLE', 'OUTCOME_UNKNOWN'])

/**
 * Runs `work` in a BEGIN IMMEDIATE transaction and commits. Foreign keys are off: a rebuild drops the old table, which
 * would delete child rows that cascade. The pragma has no effect inside a transaction, and so precedes BEGIN.
 */
export async function locked(raw: Sqlite.Database, busyRetry: BusyRetry, work: () => Promise<void>): Promise<void> {
  const before = raw.pragma('foreign_keys', { simple: true })
  raw.pragma('foreign_keys = OFF')
  try {
    await busyRetry.run(() => raw.exec('BEGIN IMMEDIATE'))
    await work()
    // Without a write-ahead log, readers block a commit too.
    await busyRetry.run(() => raw.exec('COMMIT'))
  } catch (error) {
    throw translated(error)
  } finally {
    if (raw.inTransaction) raw.exec('ROLLBACK')
    raw.pragma(`foreign_keys = ${before}`)
  }
}
