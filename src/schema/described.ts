/**
 * An application's own table in `meshstore_state`: name `table:<table>`, value the JSON form of its `Table`. Programs without
 * the application's code read it. A row may come from a stranger's backup: it is data, checked here, and never run as SQL.
 */
import { StorageError } from '../errors.ts'
import { KINDS, type KindName } from './kinds.ts'
import { OUR_TABLES, type Table, tableOf } from './tables.ts'

export const TABLE_ROW = 'table:'
/** PostgreSQL's names have 63 bytes, and `meshstore_log_` precedes the table's in its trigger's function. */
const MAX_TABLE_NAME_BYTES = 49
const MAX_NAME_BYTES = 63
const MAX_TABLES = 1_000
const MAX_COLUMNS = 500
const MAX_ROW_CHARACTERS = 262_144

const NAME = /^[\p{L}_][\p{L}\p{N}_$]*$/u
/** Prefixes of SQLite, PostgreSQL, Litestream, Drizzle and ours. */
const RESERVED = /^(sqlite_|pg_|_litestream_|__drizzle_|__app_|meshstore_|path_cache_)/i

/** A name in SQL, for both dialects. */
export const quotedName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A text in PostgreSQL's dollar quotes. Names may contain `$`: the tag grows until the text does not contain it. */
export function dollarQuoted(tag: string, text: string): string {
  const delimiter = `$${tag}$`
  return text.includes(delimiter) ? dollarQuoted(`${tag}_`, text) : `${delimiter}${text}${delimiter}`
}

/** Returns the problem of a table's name, `must be …`. */
export function tableNameProblem(name: unknown): string | undefined {
  const problem = nameProblem(name, MAX_TABLE_NAME_BYTES)
  if (problem !== undefined || typeof name !== 'string') return problem
  if (RESERVED.test(name)) return 'must not begin with a reserved prefix'
  return OUR_TABLES.includes(name.toLowerCase()) ? "must not be the name of one of this library's tables" : undefined
}

/** In SQLite `rowid` names the row's number. */
export const columnNameProblem = (name: unknown): string | undefined =>
  nameProblem(name, MAX_NAME_BYTES) ?? (/^rowid$/i.test(String(name)) ? 'must not be rowid' : undefined)

function nameProblem(name: unknown, most: number): string | undefined {
  if (typeof name !== 'string' || !NAME.test(name)) return 'must be a name of letters, digits, _ and $'
  if (Buffer.byteLength(name) > most) return `must have at most ${most} bytes`
  return name === '__proto__' ? 'must not be __proto__' : undefined
}

/** A table's row: equal tables give equal texts. */
export function rowOfTable({ name, key, columns, invalidates }: Table): [name: string, value: string] {
  const description = {
    name,
    key: key.name,
    columns: columns.map(({ name, kind, nullable }) => ({ name, kind, nullable })),
    invalidates: invalidates && {
      columns: invalidates.columns.map((column) => column.name),
      paths: invalidates.paths,
      through: invalidates.through?.map((column) => column.name),
    },
  }
  return [`${TABLE_ROW}${name}`, JSON.stringify(description)]
}

/** The tables of rows of `meshstore_state`, in their order. Other rows are ignored. Throws SCHEMA_MISMATCH for a bad row. */
export function tablesOfRows(rows: readonly (readonly [name: unknown, value: unknown])[]): Table[] {
  const tables = new Map<string, Table>()
  for (const [name, value] of rows) {
    if (typeof name !== 'string' || !name.startsWith(TABLE_ROW)) continue
    const table = tableOfRow(name, value)
    const known = tables.get(table.name.toLowerCase())
    if (known !== undefined) throw bad(name, `describes the table ${known.name} again`)
    tables.set(table.name.toLowerCase(), table)
    if (tables.size > MAX_TABLES) throw bad(name, `is one of more than ${MAX_TABLES}`)
  }
  return [...tables.values()]
}

/** Throws SCHEMA_MISMATCH. */
export function tableOfRow(row: string, value: unknown): Table {
  const { name, key, columns, invalidates } = objectOf(row, parsed(row, value), [
    'name',
    'key',
    'columns',
    'invalidates',
  ])
  const nameIs = tableNameProblem(name)
  if (typeof name !== 'string' || nameIs !== undefined) throw bad(row, `has a name that ${nameIs}`)
  if (row !== `${TABLE_ROW}${name}`) throw bad(row, 'describes a table of another name')
  if (!Array.isArray(columns) || columns.length === 0 || columns.length > MAX_COLUMNS)
    throw bad(row, `must have 1–${MAX_COLUMNS} columns`)
  const described = columns.map((column) => columnOf(row, column))
  const names = described.map((column) => column.name)
  if (new Set(names.map((each) => each.toLowerCase())).size < names.length) throw bad(row, 'has a column twice')
  const keyColumn = described.find((column) => column.name === key)
  if (keyColumn?.kind !== 'text' || keyColumn.nullable) throw bad(row, 'must have a text column as its key')
  return tableOf(name, {
    name,
    key: keyColumn.name,
    columns: Object.fromEntries(described.map((column) => [column.name, column])),
    ...(invalidates === undefined ? {} : { invalidates: invalidatesOf(row, invalidates, names) }),
  })
}

interface DescribedColumn {
  readonly name: string
  readonly kind: KindName
  readonly nullable: boolean
}

function columnOf(row: string, value: unknown): DescribedColumn {
  const { name, kind, nullable } = objectOf(row, value, ['name', 'kind', 'nullable'])
  const problem = columnNameProblem(name)
  if (typeof name !== 'string' || problem !== undefined) throw bad(row, `has a column whose name ${problem}`)
  if (!isKindName(kind)) throw bad(row, `has a column ${name} of a kind that this version does not know`)
  if (typeof nullable !== 'boolean') throw bad(row, `must say whether ${name} is nullable`)
  return { name, kind, nullable }
}

const isKindName = (kind: unknown): kind is KindName => typeof kind === 'string' && Object.hasOwn(KINDS, kind)

function invalidatesOf(row: string, value: unknown, names: readonly string[]) {
  const { columns, paths, through } = objectOf(row, value, ['columns', 'paths', 'through'])
  if (paths !== 'all' && paths !== 'through') throw bad(row, 'must invalidate all paths, or those through a node')
  return {
    columns: someOf(row, columns, names),
    paths,
    ...(through === undefined ? {} : { through: someOf(row, through, names) }),
  } as const
}

function someOf(row: string, value: unknown, names: readonly string[]): string[] {
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string' && names.includes(each)))
    throw bad(row, 'names a column that it does not describe')
  return value
}

function parsed(row: string, value: unknown): unknown {
  if (typeof value !== 'string' || value.length > MAX_ROW_CHARACTERS) throw bad(row, 'is no text, or too long')
  try {
    return JSON.parse(value)
  } catch {
    throw bad(row, 'is not valid JSON')
  }
}

/** Refuses unknown properties: a newer version may mean something by them. */
function objectOf(row: string, value: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(row, 'is no JSON object')
  const unknown = Object.keys(value).find((property) => !known.includes(property))
  if (unknown !== undefined) throw bad(row, `has a property that this version does not know`)
  return value as Readonly<Record<string, unknown>>
}

const shown = (row: string): string => (row.length > 80 ? `${row.slice(0, 80)}…` : row)
const bad = (row: string, problem: string): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    `The row ${JSON.stringify(shown(row))} of meshstore_state describes no table: it ${problem}. Nothing was changed. Open the database with the application, which writes the row again; a row of a table that is gone can be deleted.`,
  )
