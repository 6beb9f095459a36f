/** Checks a line of an export, and makes a statement's parameters of it. */
import { tableIn } from '../rows/own-tables.ts'
import type { Problem } from '../schema/cells.ts'
import { kindOf } from '../schema/kinds.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'
import { TABLES, type Table } from '../schema/tables.ts'

/** The content of a line. */
export type CheckedRow =
  | { readonly table: string; readonly key: string }
  | { readonly table?: string; readonly key?: string; readonly problems: readonly Problem[] }

/** Validates a line. No message contains a value. */
export function checkRow(line: unknown, tables: readonly Table[]): CheckedRow {
  if (!isObject(line)) return { problems: [{ column: '', message: 'must be an object' }] }
  const described = tableIn(tables, line.table)
  if (described === undefined) return { problems: [{ column: 'table', message: mustBe(tables) }] }
  const { name: table, columns } = described
  const problems: Problem[] = []
  for (const { name, fileRule } of columns) {
    if (!Object.hasOwn(line, name)) problems.push({ column: name, message: 'is missing' })
    else problems.push(...problemsOf(name, fileRule(line[name])))
  }
  for (const name of Object.keys(line)) {
    if (name !== 'table' && !columns.some((column) => column.name === name))
      problems.push({ column: rules.shown(name), message: 'is no column of the table' })
  }
  if (problems.length === 0 && described === TABLES.pathCache && !isItsKey(line))
    problems.push({ column: 'cache_key', message: 'is not source:destination:k' })
  const key = line[described.key.name]
  if (problems.length === 0) return { table, key: key as string }
  const named = rules.isId(key) === undefined ? { key: key as string } : {}
  return { table, ...named, problems }
}

/** The application's migrations make its own tables, and no import does. */
function mustBe(tables: readonly Table[]): string {
  const names = tables.map(({ name }) => name)
  return `must be ${names.slice(0, -1).join(', ')} or ${names.at(-1)}: the application's migrations make own tables`
}

function problemsOf(column: string, found: ReturnType<rules.Rule>): Problem[] {
  if (found === undefined) return []
  if (typeof found === 'string') return [{ column, message: found }]
  return found.map((issue) => {
    const { path, message } = rules.within(column, issue)
    return { column: path, message }
  })
}

// The columns' own rules were checked before.
const isItsKey = ({ cache_key: key, source, destination, k }: Line): boolean =>
  key === cacheKey({ source: source as string, destination: destination as string, k: k as number })

type Line = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Line => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The parameters of the statement that writes a checked row. */
export function parametersOf({ columns }: Table, line: Line): Record<string, unknown> {
  const parameters: Record<string, unknown> = {}
  for (const column of columns) {
    const value = line[column.name]
    const { toColumn } = kindOf(column)
    parameters[column.property] = value === null || toColumn === undefined ? value : toColumn(value as never)
  }
  return parameters
}
