/** A row between its cells in a database, its line in a file, and the parameters of a statement. */

import { columnsOf, isTableName, keyColumn, type TableName } from '../rows/tables.ts'
import { UndecodableValue } from '../schema/codecs.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'

/** A text that is no UTF-8: what the driver made of it is something else. */
export class BrokenText {}

export interface Problem {
  /** `''` where it is the row as a whole. */
  readonly column: string
  readonly message: string
}

/** A stored row's values as they stand in a file, or what the library could not read of it. */
export type ReadRow = { readonly values: readonly unknown[] } | { readonly key: string; readonly problem: Problem }

export function readRow(table: TableName, cells: readonly unknown[]): ReadRow {
  const values: unknown[] = []
  for (const [index, { name, kind }] of columnsOf(table).entries()) {
    try {
      if (cells[index] instanceof BrokenText) throw new UndecodableValue('is no UTF-8')
      values.push(kind.fromCell(cells[index]))
    } catch (error) {
      if (!(error instanceof UndecodableValue)) throw error
      return { key: shownKey(cells[0]), problem: { column: name, message: error.message } }
    }
  }
  return { values }
}

/** A key in words. */
export const shownKey = (cell: unknown): string =>
  typeof cell === 'string' ? JSON.stringify(cell) : '(a key that is no text)'

/** What a line says. */
export type CheckedRow =
  | { readonly table: TableName; readonly key: string }
  | { readonly table?: TableName; readonly key?: string; readonly problems: readonly Problem[] }

/** Looks at a line by the rules at the door. Never says what a value was. */
export function checkRow(line: unknown): CheckedRow {
  if (!isObject(line)) return { problems: [{ column: '', message: 'must be an object' }] }
  const { table } = line
  if (!isTableName(table)) return { problems: [{ column: 'table', message: 'must be nodes, policies or path_cache' }] }
  const problems: Problem[] = []
  const columns = columnsOf(table)
  for (const { name, kind } of columns) {
    if (!Object.hasOwn(line, name)) problems.push({ column: name, message: 'is missing' })
    else problems.push(...problemsOf(name, kind.rule(line[name])))
  }
  for (const name of Object.keys(line)) {
    if (name !== 'table' && !columns.some((column) => column.name === name))
      problems.push({ column: rules.shown(name), message: 'is no column of the table' })
  }
  if (problems.length === 0 && table === 'path_cache' && !isItsKey(line))
    problems.push({ column: 'cache_key', message: 'is not source:destination:k' })
  const key = line[keyColumn(table)]
  if (problems.length === 0) return { table, key: key as string }
  const named = rules.isId(key) === undefined ? { key: key as string } : {}
  return { table, ...named, problems }
}

function problemsOf(column: string, found: ReturnType<rules.Rule>): Problem[] {
  if (found === undefined) return []
  if (typeof found === 'string') return [{ column, message: found }]
  return found.map((issue) => {
    const { path, message } = rules.within(column, issue)
    return { column: path, message }
  })
}

// Each has kept its rule.
const isItsKey = ({ cache_key: key, source, destination, k }: Line): boolean =>
  key === cacheKey({ source: source as string, destination: destination as string, k: k as number })

type Line = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Line => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The parameters of a statement that writes the row. It has been checked. */
export function parametersOf(table: TableName, line: Line): Record<string, unknown> {
  const parameters: Record<string, unknown> = {}
  for (const { name, property, kind } of columnsOf(table)) {
    const value = line[name]
    parameters[property] = kind.toColumn === undefined ? value : kind.toColumn(value as never)
  }
  return parameters
}
