/** What an open file says of itself. */
import type Sqlite from 'better-sqlite3'
import { fenceOf } from '../../database/sqlite/fence.ts'
import { type Findings, RESTORE } from '../findings.ts'

/** SQLite stops there. */
const MOST_ERRORS = 1_000

/**
 * One long call, during which nothing else runs: this is for command lines. SQLite compares no CHECKs on a connection that
 * cannot write, as it should be: rows that break one are found with their keys, and restoring a backup is no advice for them.
 */
export function checkIntegrity(raw: Sqlite.Database, findings: Findings): void {
  const found = raw.prepare<[], string>(`PRAGMA integrity_check(${MOST_ERRORS})`).pluck().iterate()
  for (const text of found)
    for (const line of text.split('\n')) {
      if (line === 'ok' || line === '' || line.startsWith('*** in database')) continue
      findings.add({ severity: 'error', check: 'integrity', message: `integrity_check: ${line}`, advice: RESTORE })
    }
}

/** Whether the data is on its way to another database, or there. */
export function checkMove(raw: Sqlite.Database, findings: Findings): void {
  const moved = fenceOf(raw)()
  if (moved !== undefined) {
    findings.add({
      severity: 'warning',
      check: 'move',
      message: `The data has moved to PostgreSQL at ${moved.to}: the file refuses writes.`,
      advice: 'Check that database instead, and give its URL to whoever still uses the file.',
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
