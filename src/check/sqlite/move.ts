import type Sqlite from 'better-sqlite3'
import { fenceOf } from '../../database/sqlite/fence.ts'
import type { Findings } from '../findings.ts'

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
