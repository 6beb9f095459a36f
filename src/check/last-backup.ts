import { quotedName, TABLE_ROW } from '../schema/described.ts'
import { ALL_TABLES, TABLES } from '../schema/tables.ts'
import type { Finding, Findings } from './findings.ts'
import type { OwnTableState } from './own-tables.ts'

/** Tables that need a backup: cached paths can be computed again. */
const KEPT = ALL_TABLES.filter((table) => table !== TABLES.pathCache).map(({ name }) => name)

/** Selects the time of the last backup, in seconds, and whether there are rows to back up. The same SQL on each dialect. */
export function lastBackupSql(own: readonly OwnTableState[]): string {
  // A table that is not there has its own finding, and one that the role may not read.
  const ofOwn = own.filter(({ found, lacking }) => found.columns.length > 0 && lacking?.includes('SELECT') !== true)
  const names = [...KEPT, ...ofOwn.map(({ row }) => row.slice(TABLE_ROW.length))]
  const hasRows = names.map((name) => `EXISTS (SELECT 1 FROM ${quotedName(name)})`).join(' OR ')
  return `SELECT (SELECT updated_at FROM meshstore_state WHERE name = 'last_backup'), CASE WHEN ${hasRows} THEN 1 ELSE 0 END`
}

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
