/** What SQLite itself finds wrong. */
import type Sqlite from 'better-sqlite3'
import { isSqliteFailure, translated } from '../../database/sqlite/errors.ts'
import { type Findings, RESTORE } from '../findings.ts'

/** SQLite stops there. */
const MOST_ERRORS = 1_000

/**
 * One long call, during which nothing else runs: this is for command lines. SQLite compares no CHECKs on a connection that
 * cannot write, as it should be: rows that break one are found with their keys, and restoring a backup is no advice for them.
 */
export function checkIntegrity(raw: Sqlite.Database, findings: Findings): void {
  try {
    const found = raw.prepare<[], string>(`PRAGMA integrity_check(${MOST_ERRORS})`).pluck().iterate()
    for (const text of found) for (const line of text.split('\n')) addLine(line, findings)
  } catch (error) {
    throw translated(error)
  }
}

function addLine(line: string, findings: Findings): void {
  if (line === 'ok' || line === '' || line.startsWith('*** in database')) return
  findings.add({ severity: 'error', check: 'integrity', message: `integrity_check: ${line}`, advice: RESTORE })
}

type Orphan = [table: string, rowid: number | null, parent: string]

/** Ours have no foreign keys; what others added may. */
export function checkForeignKeys(raw: Sqlite.Database, findings: Findings): void {
  try {
    const orphans = raw.prepare<[], Orphan>('SELECT "table", rowid, parent FROM pragma_foreign_key_check').raw()
    for (const [table, rowid, parent] of orphans.iterate())
      findings.add({
        severity: 'error',
        check: 'foreign-keys',
        message: `${table}: ${rowid === null ? 'a row' : `row ${rowid}`} refers to a row of ${parent} that is not there.`,
        advice: 'Correct or delete the row, or bring back the one that it refers to.',
        table,
      })
  } catch (error) {
    // A foreign key that refers to what cannot be referred to: there is no index, or no such column.
    if (!isSqliteFailure(error) || error.code !== 'SQLITE_ERROR') throw translated(error)
    findings.add({
      severity: 'error',
      check: 'foreign-keys',
      message: 'A foreign key of another table refers to columns that have no unique index, or are not there.',
      advice: 'Correct that table: SQLite refuses to write it.',
    })
  }
}
