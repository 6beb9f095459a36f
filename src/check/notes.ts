/** What the library remembers for itself, the last backup among it. */
import { decodeText, decodeTime, UndecodableValue } from '../schema/codecs.ts'
import { shown } from '../schema/rules.ts'
import type { Finding, Findings } from './findings.ts'
import type { Settings } from './options.ts'

/** Name, value, time. */
export type Note = readonly [name: unknown, value: unknown, updatedAt: unknown]

/** Names of migrations and the like: nobody has that many. */
export const NOTES = 'SELECT name, value, updated_at FROM meshstore_state ORDER BY name LIMIT 10000'
/** Whether there is anything to back up. The same on every dialect. */
export const HAS_ROWS =
  'SELECT CASE WHEN EXISTS (SELECT 1 FROM nodes) OR EXISTS (SELECT 1 FROM policies) THEN 1 ELSE 0 END'

/** Finds notes that cannot be read, and returns when the last backup was made. */
export function lastBackupIn(notes: Iterable<Note>, findings: Findings): Date | undefined {
  let lastBackup: Date | undefined
  for (const [name, value, updatedAt] of notes) {
    let column = 'name'
    try {
      decodeText(name)
      column = 'value'
      decodeText(value)
      column = 'updated_at'
      const time = decodeTime(updatedAt)
      if (name === 'last_backup') lastBackup = time
    } catch (error) {
      if (!(error instanceof UndecodableValue)) throw error
      const key = typeof name === 'string' ? shown(name) : undefined
      findings.add({
        severity: 'error',
        check: 'notes',
        message: `meshstore_state: ${column}${key === undefined ? '' : ` of ${JSON.stringify(key)}`} ${error.message}.`,
        advice: 'Delete the row, unless its name begins with migration: or breaking:, then correct it.',
        table: 'meshstore_state',
        ...(key !== undefined && { key }),
        column,
      })
    }
  }
  return lastBackup
}

export interface Backups {
  readonly last: Date | undefined
  readonly hasRows: boolean
  /** What to do for one. */
  readonly advice: string
  /** How bad it is if no backup is noted. */
  readonly never: Finding['severity']
}

const DAY_MS = 86_400_000

export function checkBackups(backups: Backups, findings: Findings, { now, limits }: Settings): void {
  const { last, hasRows, advice, never } = backups
  if (last === undefined) {
    if (!hasRows) return
    const message = 'No backup has ever been noted in the database.'
    findings.add({ severity: never, check: 'last-backup', message, advice })
    return
  }
  const days = (now().getTime() - last.getTime()) / DAY_MS
  if (days <= limits.backupAgeDays) return
  const message = `The last backup was made ${Math.floor(days)} days ago, at ${last.toISOString()}.`
  findings.add({ severity: 'warning', check: 'last-backup', message, advice })
}
