/** Checks an open file from inside: integrity, settings and moves. */
import type Sqlite from 'better-sqlite3'
import { prepareFenceQuery } from '../../database/sqlite/fence.ts'
import { type Findings, RESTORE } from '../findings.ts'

/** SQLite stops after this number of problems. */
const MOST_ERRORS = 1_000

/**
 * Blocks the event loop: use it on a command line. SQLite skips CHECKs on a read-only connection, as intended: the rows'
 * check reports rows that break a CHECK with their keys.
 */
export function checkIntegrity(raw: Sqlite.Database, findings: Findings): void {
  const found = raw.prepare<[], string>(`PRAGMA integrity_check(${MOST_ERRORS})`).pluck().iterate()
  for (const text of found)
    for (const line of text.split('\n')) {
      if (line === 'ok' || line === '' || line.startsWith('*** in database')) continue
      findings.add({ severity: 'error', check: 'integrity', message: `integrity_check: ${line}`, advice: RESTORE })
    }
}

/** Reports a move to another database, under way or done. */
export function checkMove(raw: Sqlite.Database, findings: Findings): void {
  const moved = prepareFenceQuery(raw)()
  if (moved !== undefined) {
    findings.add({
      severity: 'warning',
      check: 'move',
      message: `The data has moved to PostgreSQL at ${moved.to}: the file refuses writes.`,
      advice: 'Check that database instead, and give its URL to all who still use the file.',
    })
    return
  }
  const isUnderWay = raw.prepare("SELECT 1 FROM meshstore_state WHERE name = 'move'").get() !== undefined
  if (!isUnderWay) return
  findings.add({
    severity: 'info',
    check: 'move',
    message: 'A move to PostgreSQL is under way, or was stopped.',
    advice: 'meshstore move --status says how far it has come; --resume goes on, --abort gives it up.',
  })
}
