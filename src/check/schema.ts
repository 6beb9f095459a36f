/** Findings about the ledger of migrations and about schema drift. */

import type { Status } from '../migrator/inspection.ts'
import { TABLE_NAMES } from '../schema/tables.ts'
import type { Findings } from './findings.ts'

export function checkMigrations(status: Status, findings: Findings): void {
  const { state, pending, problem, adoption, drift } = status
  if (state === 'new')
    findings.add({
      severity: 'warning',
      check: 'migrations',
      message: 'The database has none of the tables.',
      advice: 'Run meshstore migrate up, or let the application open it.',
    })
  if (state === 'pending')
    findings.add({
      severity: 'warning',
      check: 'migrations',
      message: `Migrations are pending: ${pending.join(', ')}.`,
      advice: 'Run meshstore migrate up, or let the application open it with migrate: apply.',
      count: pending.length,
    })
  if (state === 'adoptable')
    findings.add({
      severity: 'warning',
      check: 'migrations',
      message: 'Another program made the file, and it has not been adopted.',
      advice: 'Run meshstore migrate adopt --dry-run to see what would become of its rows, then meshstore migrate up.',
    })
  if (problem !== undefined)
    findings.add({
      severity: 'error',
      check: 'migrations',
      message: `${problem.code}: ${problem.message}`,
      advice: 'Do what the message says. meshstore migrate status says more.',
    })
  for (const { table, rowid, key, column, message } of adoption?.problems ?? [])
    findings.add({
      severity: 'error',
      check: 'rows',
      message: `${table}: ${column} of ${key === undefined ? `row ${rowid}` : JSON.stringify(key)} ${message}.`,
      advice: 'Correct or delete the row, or leave it out with meshstore migrate adopt --quarantine FILE.',
      table,
      ...(key !== undefined && { key }),
      column,
    })
  if (drift === undefined) findings.skip(reasonWithoutDrift(status), 'schema', 'others')
}

function reasonWithoutDrift({ newer, state }: Status): string {
  if (newer.length > 0)
    return 'A newer version of this package made the tables; this one does not know how they should be.'
  if (state === 'adoptable' || state === 'refused') return 'The migrations do not say how the tables should be.'
  return 'The server, or the role, allows no temporary tables to compare with.'
}

export function checkDrift({ drift, others }: Status, findings: Findings): void {
  for (const { table, kind, what } of drift ?? []) {
    const how = { missing: 'is missing', unexpected: 'should not be there', order: 'is another order of the columns' }
    findings.add({
      severity: 'error',
      check: 'schema',
      message: `${table}: ${what} ${how[kind]}.`,
      advice: ADVICE[kind],
      table,
    })
  }
  for (const what of others) {
    const table = OURS.find((name) => what.endsWith(` on ${name}`))
    if (table === undefined) continue
    findings.add({
      severity: 'info',
      check: 'others',
      message: `It has the ${what}, which is not this package's.`,
      advice: what.startsWith('trigger')
        ? 'It may refuse or change rows, which this package cannot prevent. Do nothing if you know it.'
        : 'It costs time at every write. Do nothing if you know it.',
      table,
    })
  }
}

const ADVICE = {
  missing: 'Run meshstore migrate repair --dry-run, which says what it would make again, then without --dry-run.',
  unexpected: 'Put the table right by hand after a backup, or restore a backup.',
  order: 'Put the table right by hand after a backup, or restore a backup.',
}

const OURS: readonly string[] = [...TABLE_NAMES, 'meshstore_state']
