/**
 * Adopts a file whose tables another program made with the client's DDL and without CHECKs. In the caller's transaction,
 * the adoption checks each row, then rebuilds the three tables.
 */
import type Sqlite from 'better-sqlite3'
import { note } from '../database/sqlite/notes.ts'
import { StorageError } from '../errors.ts'
import type { Problem } from '../schema/cells.ts'
import * as rules from '../schema/rules.ts'
import { indexesOf, recognizedTables } from './adoption-layout.ts'
import { type SharedTable, slicesOf, type TableRow, type Verdict } from './adoption-rows.ts'
import { Quarantine } from './quarantine.ts'
import { type Rebuilding, rebuild } from './sqlite-rebuild.ts'
import {
  type Adopted,
  type AdoptionReport,
  type MigrationOptions,
  type RowProblem,
  type TableReport,
  timeOf,
} from './steps.ts'

/** Limits: problems in a report, and problems in an error's message. */
const MAX_PROBLEMS = 1_000
const PROBLEMS_IN_MESSAGE = 3

/** Throws SCHEMA_MISMATCH, with `issues`, if the file cannot be taken over. Changes nothing. */
export async function assertAdoptable(raw: Sqlite.Database, options: MigrationOptions): Promise<void> {
  const tables = recognizedTables(raw)
  const quarantine = quarantineOf(raw, options)
  try {
    const checked = await checkRows(tables, raw, ({ table, rowid, row, verdict }) => {
      if (verdict.fate === 'refused') quarantine?.add(table.name, { rowid, row }, verdict.problems)
    })
    quarantine?.rehearse()
    if (quarantine === undefined && refusedIn(checked) > 0) throw refusedRows(checked)
  } finally {
    quarantine?.discard()
  }
}

const quarantineOf = (raw: Sqlite.Database, { quarantine }: MigrationOptions): Quarantine | undefined =>
  quarantine === undefined ? undefined : new Quarantine(quarantine, raw.name)

/** Dry run of an adoption: changes nothing. Throws SCHEMA_MISMATCH for tables that are not the client's. */
export async function previewAdoption(raw: Sqlite.Database): Promise<AdoptionReport> {
  const tables = recognizedTables(raw)
  return { ...(await checkRows(tables, raw, () => {})), indexes: indexesOf(raw, tables).map(({ name }) => name) }
}

export interface AdoptOptions extends MigrationOptions {
  /** Creates the tables of the first migration, and records it. */
  readonly create: () => void
  /** Checks the result before the COMMIT. */
  readonly verify: () => void
}

/**
 * Must run inside a transaction, with foreign keys off. Throws SCHEMA_MISMATCH if rows cannot be kept and there is no
 * `quarantine`; CONFIG if the quarantine file cannot be written.
 */
export async function adopt(raw: Sqlite.Database, options: AdoptOptions): Promise<AdoptionReport> {
  const tables = recognizedTables(raw)
  const quarantine = quarantineOf(raw, options)
  raw.exec('CREATE TEMP TABLE meshstore_left_out (name TEXT, row INTEGER, PRIMARY KEY (name, row)) WITHOUT ROWID')
  try {
    const leaveOut = raw.prepare<[string, bigint]>('INSERT INTO temp.meshstore_left_out VALUES (?, ?)')
    const checked = await checkRows(tables, raw, ({ table, rowid, row, verdict }) => {
      leaveOut.run(table.name, rowid)
      if (verdict.fate === 'refused') quarantine?.add(table.name, { rowid, row }, verdict.problems)
    })
    if (quarantine === undefined && refusedIn(checked) > 0) throw refusedRows(checked)
    await options.backup?.('adoption', raw.name)
    const indexes = indexesOf(raw, tables)
    rebuild(raw, tables.map(rebuilding), options.create)
    for (const { sql } of indexes) raw.exec(sql)
    noteAdoption(raw, checked, timeOf(options))
    options.verify()
    // Publish before the COMMIT: each refused row must exist in a file or in the table.
    quarantine?.publish()
    return { ...checked, indexes: indexes.map(({ name }) => name) }
  } finally {
    quarantine?.discard()
    if (raw.inTransaction) raw.exec('DROP TABLE temp.meshstore_left_out')
  }
}

const NOTE = 'adoption'

/** Saves the report in `meshstore_state`: `migrate status` shows it later. */
const noteAdoption = (raw: Sqlite.Database, { tables }: CheckedRows, time: Date): unknown =>
  note(raw, NOTE, JSON.stringify(tables), time)

/** The saved report, if the file was adopted. */
export function adoptionOf(raw: Sqlite.Database): Adopted | undefined {
  const columns = raw.prepare<[], string>("SELECT name FROM pragma_table_info('meshstore_state')").pluck().all()
  // Another program may have changed the table: the drift check reports that.
  if (!['name', 'value', 'updated_at'].every((column) => columns.includes(column))) return undefined
  const found = raw
    .prepare<[string], { value: string; time: number }>(
      'SELECT value, updated_at AS time FROM meshstore_state WHERE name = ?',
    )
    .get(NOTE)
  const tables = found && tablesIn(found.value)
  return tables && { at: new Date(found.time * 1_000), tables }
}

/** `undefined` if another program wrote the note. */
function tablesIn(text: string): TableReport[] | undefined {
  try {
    const tables: unknown = JSON.parse(text)
    return Array.isArray(tables) ? tables : undefined
  } catch {
    return undefined
  }
}

interface LeftOut extends TableRow {
  readonly table: SharedTable
  readonly verdict: Verdict
}

type CheckedRows = Omit<AdoptionReport, 'indexes'>

async function checkRows(
  tables: readonly SharedTable[],
  raw: Sqlite.Database,
  onLeftOut: (row: LeftOut) => void,
): Promise<CheckedRows> {
  const reports: TableReport[] = []
  const problems: RowProblem[] = []
  for (const table of tables) {
    const counts = { kept: 0, normalised: 0, dropped: 0, refused: 0 }
    for await (const slice of slicesOf(raw, table)) {
      for (const { rowid, row } of slice) {
        const verdict = table.verdictOn(row)
        counts[verdict.fate]++
        if (verdict.fate === 'kept') {
          if (verdict.normalised) counts.normalised++
          continue
        }
        onLeftOut({ table, rowid, row, verdict })
        if (verdict.fate === 'refused') problems.push(...problemsOf(table, { rowid, row }, verdict.problems))
      }
      problems.splice(MAX_PROBLEMS)
    }
    reports.push({ table: table.name, ...counts })
  }
  return { tables: reports, problems }
}

function problemsOf(table: SharedTable, { rowid, row }: TableRow, problems: readonly Problem[]): RowProblem[] {
  const key = Object.values(row)[0]
  const found = typeof key === 'string' ? { key: rules.shown(key) } : {}
  return problems.map((problem) => ({ table: table.name, rowid: String(rowid), ...found, ...problem }))
}

const refusedIn = ({ tables }: CheckedRows): number => tables.reduce((sum, { refused }) => sum + refused, 0)

function refusedRows(checked: CheckedRows): StorageError {
  const issues = checked.problems.map(({ table, rowid, key, column, message }) => {
    const named = key === undefined ? '' : ` (${JSON.stringify(key)})`
    return { path: `${table} row ${rowid}${named} ${column}`, message }
  })
  const shown = issues.slice(0, PROBLEMS_IN_MESSAGE).map(({ path, message }) => `${path} ${message}`)
  return new StorageError(
    'SCHEMA_MISMATCH',
    `Another program made the file, and ${refusedIn(checked)} of its rows cannot be kept: ${shown.join('; ')}${issues.length > shown.length ? '; …' : ''}. Nothing was changed. Correct them, or run meshstore migrate adopt --quarantine FILE, which writes them out and goes on.`,
    { issues },
  )
}

const rebuilding = ({ name, columns, defaults }: SharedTable): Rebuilding => ({
  name,
  values: Object.fromEntries(
    Object.keys(columns).map((column) => [
      column,
      defaults.includes(column) ? `coalesce(old.${column}, 0)` : `old.${column}`,
    ]),
  ),
  isKept: `old.rowid NOT IN (SELECT row FROM temp.meshstore_left_out WHERE name = '${name}')`,
})
