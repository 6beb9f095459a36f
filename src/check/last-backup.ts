import { ALL_TABLES, TABLES } from '../schema/tables.ts'
import type { Finding, Findings } from './findings.ts'

/** Tables that need a backup: cached paths can be computed again. */
const KEPT = ALL_TABLES.filter((table) => table !== TABLES.pathCache)

/** Selects the time of the last backup, in seconds, and whether there are rows to back up. The same SQL on each dialect. */
export const LAST_BACKUP = `SELECT (SELECT updated_at FROM meshstore_state WHERE name = 'last_backup'),
  CASE WHEN ${KEPT.map(({ name }) => `EXISTS (SELECT 1 FROM ${name})`).join(' OR ')} THEN 1 ELSE 0 END`

export type LastBackup = [seconds: unknown, hasRows: number]

interface Asked {
  readonly now: Date
  /** Advice: how to make backups. */
  readonly advice: string
  /** The severity if no backup is recorded. */
  readonly never: Finding['severity']
}

const MAX_AGE_DAYS = 7
const DAY_SECONDS = 86_400

export function checkLastBackup([seconds, hasRows]: LastBackup, findings: Findings, asked: Asked): void {
  const { now, advice, never } = asked
  // Another program may have written a value of any type.
  if (typeof seconds !== 'number') {
    if (hasRows === 0) return
    const message = 'No backup has ever been noted in the database.'
    findings.add({ severity: never, check: 'last-backup', message, advice })
    return
  }
  const days = (now.getTime() / 1_000 - seconds) / DAY_SECONDS
  if (days <= MAX_AGE_DAYS) return
  const message = `The last backup was made ${Math.floor(days)} days ago, at ${new Date(seconds * 1_000).toISOString()}.`
  findings.add({ severity: 'warning', check: 'last-backup', message, advice })
}
