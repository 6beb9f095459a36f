/** The rows and tables that calls concern, for the keyed queue. */
import type { Call, Rows } from '../session.ts'
import type { StatementCompiler, Target } from '../statement.ts'

/** The rows that a call names, and the tables in which it may concern any row. */
export interface Touched {
  readonly rows: readonly string[]
  readonly tables: readonly string[]
}

const NOTHING: Touched = { rows: [], tables: [] }
/** A call or transaction that names more rows takes the table's place: each row's would cost 1 µs and 500 bytes. */
export const MOST_ROWS = 10_000
/** Invalidating paths writes invalidations: the path cache is one table as far as the order is concerned. */
const PART_OF: Readonly<Record<string, string>> = { invalidations: 'pathCache', seenPositions: 'pathCache' }

const ofTable = (table: string): string => PART_OF[table] ?? table

const ofRows = (rows: ReadonlySet<string>, tables: ReadonlySet<string>): Touched => {
  const touched = { rows: [...rows], tables: [...tables] }
  return rows.size <= MOST_ROWS ? touched : inWholeTables(touched)
}

export const inWholeTables = ({ rows, tables }: Touched): Touched => ({
  rows: [],
  tables: [...new Set([...tables, ...rows.map(tableOf)])],
})

/** Table and key as one string: no table's name has a space. */
export const rowOf = (table: string, key: string): string => `${table} ${key}`
export const tableOf = (row: string): string => row.slice(0, row.indexOf(' '))
export const keyOf = (row: string): string => row.slice(row.indexOf(' ') + 1)

function touchedBy(target: Target | undefined, parameters: unknown): Touched {
  if (target === undefined) return NOTHING
  const table = ofTable(target.table)
  const key = target.key && (parameters as Readonly<Record<string, unknown>>)[target.key]
  if (typeof key === 'string') return { rows: [rowOf(table, key)], tables: [] }
  return { rows: [], tables: [...new Set([table, ...(target.others ?? []).map(ofTable)])] }
}

export const touchedByCall = <P, R>(compiler: StatementCompiler, { statement, parameters }: Call<P, R>): Touched =>
  touchedBy(compiler.target(statement), parameters)

export function touchedByCalls<P, R>(compiler: StatementCompiler, calls: readonly Call<P, R>[]): Touched {
  const rows = new Set<string>()
  const tables = new Set<string>()
  for (const call of calls) {
    const touched = touchedByCall(compiler, call)
    for (const row of touched.rows) rows.add(row)
    for (const table of touched.tables) tables.add(table)
  }
  return ofRows(rows, tables)
}

/** For calls whose parameters are still pending. */
export const touchedByRows = ({ table, keys }: Rows): Touched =>
  keys === 'any'
    ? { rows: [], tables: [ofTable(table)] }
    : ofRows(new Set(keys.map((key) => rowOf(ofTable(table), key))), new Set())
