/** Findings about an application's own tables, by their descriptions in the database: its code is not needed. */
import { StorageError } from '../errors.ts'
import type { FoundTable } from '../migrator/own-tables.ts'
import { TABLE_ROW, tableOfRow } from '../schema/described.ts'
import type { Table } from '../schema/tables.ts'
import type { Findings } from './findings.ts'

const OPEN =
  "Open the database once with the application, with migrate: 'apply' and as the owner; or write a migration with meshstore migrate generate."

export interface OwnTableState {
  /** The row of `meshstore_state`. */
  readonly row: string
  readonly value: unknown
  readonly found: Pick<FoundTable, 'columns' | 'triggers'>
  /** PostgreSQL: the rights that the role lacks. */
  readonly lacking?: readonly string[]
}

export function checkOwnTables(
  states: readonly OwnTableState[],
  triggersOf: (table: Table) => readonly string[],
  findings: Findings,
): void {
  for (const state of states) {
    const table = described(state, findings)
    if (table !== undefined) checkOwnTable(table, state, triggersOf(table), findings)
  }
}

function described({ row, value }: OwnTableState, findings: Findings): Table | undefined {
  try {
    return tableOfRow(row, value)
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    const advice = `${OPEN} Until then no backup, export or copy can be made.`
    findings.add({
      severity: 'error',
      check: 'schema',
      message: error.message,
      advice,
      table: row.slice(TABLE_ROW.length),
    })
    return undefined
  }
}

function checkOwnTable(
  table: Table,
  { found, lacking = [] }: OwnTableState,
  triggers: readonly string[],
  findings: Findings,
): void {
  const { name } = table
  if (found.columns.length === 0) {
    const advice = `If it was dropped on purpose: DELETE FROM meshstore_state WHERE name = '${TABLE_ROW}${name}'. Else restore a backup.`
    const message = `${name}: the table is not there, and meshstore_state describes it. Nothing of it is backed up.`
    findings.add({ severity: 'error', check: 'schema', message, advice, table: name })
    return
  }
  for (const column of table.columns) {
    const there = found.columns.find((each) => each.name === column.name)
    const problem =
      there === undefined
        ? 'is not there, and meshstore_state describes it'
        : there.isKey !== (column === table.key)
          ? `${there.isKey ? 'is in' : 'is not'} the primary key, unlike its description in meshstore_state`
          : undefined
    if (problem === undefined) continue
    const message = `${name}: the column ${column.name} ${problem}.`
    findings.add({ severity: 'error', check: 'schema', message, advice: OPEN, table: name, column: column.name })
  }
  const missing = triggers.filter((trigger) => !found.triggers.has(trigger))
  for (const trigger of missing) {
    const what = trigger.includes('_mark_')
      ? 'cached paths stay when a row changes'
      : 'changes of its rows are not followed'
    const message = `${name}: the trigger ${trigger} is missing or off: ${what}.`
    findings.add({ severity: 'error', check: 'schema', message, advice: OPEN, table: name })
  }
  if (lacking.length > 0)
    findings.add({
      severity: 'warning',
      check: 'rights',
      message: `The role may not ${lacking.join(', ')} in ${name}.`,
      advice: `As the owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ${name} TO meshstore_app. For a role that only reads: nothing, if it has SELECT.`,
      table: name,
    })
}
