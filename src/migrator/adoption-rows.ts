/** Checks the rows of another program's file: adoption keeps each row that the library can read unchanged. */

import { isUtf8 } from 'node:buffer'
import type Sqlite from 'better-sqlite3'
import { nextTurn } from '../event-loop.ts'
import { BrokenText, type Cell, type Problem, type StoredRow } from '../schema/cells.ts'
import { UndecodableValue } from '../schema/codecs.ts'
import { type KindName, kindOf } from '../schema/kinds.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import { isId, isK } from '../schema/rules.ts'
import { type Column, TABLES, type Table, type TableName } from '../schema/tables.ts'

export type Row = StoredRow['row']

export type Verdict =
  | { readonly fate: 'kept'; readonly normalised: boolean }
  | { readonly fate: 'dropped' }
  | { readonly fate: 'refused'; readonly problems: readonly Problem[] }

export interface SharedTable {
  readonly name: TableName
  /** Columns in the order of the client's DDL, each with its accepted type names. */
  readonly columns: Readonly<Record<string, readonly string[]>>
  /** Columns in which NULL becomes 0. */
  readonly defaults: readonly string[]
  readonly verdictOn: (row: Row) => Verdict
}

const AFFINITIES: Readonly<Record<KindName, readonly string[]>> = {
  text: ['TEXT'],
  list: ['TEXT'],
  json: ['TEXT'],
  time: ['REAL'],
  real: ['REAL'],
  integer: ['INTEGER'],
  // Python's files have both spellings of `started`.
  boolean: ['BOOLEAN', 'INTEGER'],
}

export const SHARED: readonly SharedTable[] = [TABLES.nodes, TABLES.policies, TABLES.pathCache].map((table) => ({
  name: table.name,
  columns: Object.fromEntries(table.columns.map(({ name, kind }) => [name, AFFINITIES[kind]])),
  defaults: table.columns.filter(hasDefault).map(({ name }) => name),
  verdictOn: (row) =>
    table === TABLES.pathCache && (isAmbiguous(row.source) || isAmbiguous(row.destination))
      ? { fate: 'dropped' }
      : verdictOnCells(table, row),
}))

function hasDefault({ filledIn }: Column): boolean {
  return filledIn === 'by default'
}

const isAmbiguous = (id: Cell | undefined): boolean => typeof id === 'string' && /[:%]/.test(id)

function verdictOnCells(table: Table, row: Row): Verdict {
  const problems: Problem[] = []
  let normalised = false
  for (const column of table.columns) {
    const cell = row[column.name] ?? null
    const message = cell instanceof BrokenText ? 'is no UTF-8' : problemOf(column, cell, row)
    if (message !== undefined) problems.push({ column: column.name, message })
    else if (cell === null) normalised = true
  }
  return problems.length > 0 ? { fate: 'refused', problems } : { fate: 'kept', normalised }
}

function isItsKey(cell: Cell, { source, destination, k }: Row): boolean {
  if (typeof source !== 'string' || typeof destination !== 'string' || typeof k !== 'bigint') return true
  return cell === cacheKey({ source, destination, k: Number(k) })
}

/** Why the cell cannot be kept; `undefined` if the library can read the cell. */
function problemOf(column: Column, cell: Cell, row: Row): string | undefined {
  const { kind, rule } = column
  if (column === TABLES.pathCache.key) return isItsKey(cell, row) ? undefined : 'is not source:destination:k'
  if (cell === null && hasDefault(column)) return undefined
  if (rule === isId) return cell === null ? 'is NULL' : isId(cell)
  const integer = typeof cell === 'bigint' ? Number(cell) : undefined
  if (rule === isK) return isK(integer)
  try {
    kindOf(column).read(kind === 'integer' || kind === 'boolean' ? integer : cell)
    return undefined
  } catch (error) {
    if (error instanceof UndecodableValue) return error.message
    throw error
  }
}

export type TableRow = Required<StoredRow>

/** Rows between two yields to the event loop. */
const SLICE = 500
const SMALLEST_ROWID = -(2n ** 63n)

/** Slices of a table's rows by ascending rowid. Other statements may run between two slices. */
export async function* slicesOf(raw: Sqlite.Database, table: SharedTable): AsyncGenerator<TableRow[]> {
  const names = Object.keys(table.columns)
  // Selects the bytes too: the driver replaces invalid UTF-8 in texts.
  const cells = names.map((name) => `${name}, CASE typeof(${name}) WHEN 'text' THEN CAST(${name} AS BLOB) END`)
  const sql = `SELECT rowid, ${cells.join(', ')} FROM ${table.name} WHERE rowid >= ? ORDER BY rowid LIMIT ${SLICE}`
  const select = raw.prepare<[bigint], Cell[]>(sql).raw().safeIntegers()
  const utf8 = raw.pragma('encoding', { simple: true }) === 'UTF-8'
  for (let from = SMALLEST_ROWID; ; ) {
    const slice = select.all(from).map(([rowid, ...values]) => {
      const entries = names.map((name, index): [string, Cell] => {
        const [cell = null, bytes] = [values[2 * index], values[2 * index + 1]]
        return [name, utf8 && bytes instanceof Buffer && !isUtf8(bytes) ? new BrokenText(bytes) : cell]
      })
      return { rowid: rowid as bigint, row: Object.fromEntries(entries) }
    })
    if (slice.length > 0) yield slice
    const last = slice.at(-1)
    if (last === undefined || slice.length < SLICE) return
    from = last.rowid + 1n
    await nextTurn()
  }
}
