/** Values of SQLite's with their types: as tests write them, as another program is told them, and as a file has them. */
import type Sqlite from 'better-sqlite3'

/** A text of these bytes, be they UTF-8 or not. */
export class Bytes {
  readonly bytes: Buffer

  constructor(...bytes: number[]) {
    this.bytes = Buffer.from(bytes)
  }
}

/** A list as Python's `str()` writes it, which is no JSON. */
export class Str {
  readonly list: readonly (string | boolean)[]

  constructor(...list: (string | boolean)[]) {
    this.list = list
  }

  toString(): string {
    return `[${this.list.map((item) => (typeof item === 'string' ? `'${item}'` : item ? 'True' : 'False')).join(', ')}]`
  }
}

/** A `number` is a REAL, a `bigint` an INTEGER; `true` is Python's, which is bound as 1. */
export type Cell = null | bigint | number | string | boolean | Buffer | Bytes | Str

export interface Row {
  readonly table: TableName
  /** The next one, unless given. */
  readonly rowid?: bigint | undefined
  readonly values: readonly Cell[]
}

export const TABLES = ['nodes', 'policies', 'path_cache'] as const
export type TableName = (typeof TABLES)[number]

/** As JSON, for the program in Python. */
export function told(cell: Cell): unknown {
  if (cell === null) return null
  if (typeof cell === 'bigint') return { int: String(cell) }
  if (typeof cell === 'number') return { real: bitsOf(cell) }
  if (typeof cell === 'string') return { text: cell }
  if (typeof cell === 'boolean') return { bool: cell }
  if (cell instanceof Bytes) return { bytes: cell.bytes.toString('hex') }
  return cell instanceof Str ? { str: cell.list } : { blob: cell.toString('hex') }
}

/** For the driver: a placeholder and what is bound to it. */
export function bound(cell: Cell): { place: string; value: null | bigint | number | string | Buffer } {
  if (cell instanceof Bytes) return { place: 'CAST(? AS TEXT)', value: cell.bytes }
  if (typeof cell === 'boolean') return { place: '?', value: BigInt(cell) }
  return { place: '?', value: cell instanceof Str ? String(cell) : cell }
}

/** All of a number's bits. */
export function bitsOf(real: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(real)
  return bytes.toString('hex')
}

/** A row as a file has it: its rowid, and each value with its type and all of its bits. */
export interface Stored {
  readonly rowid: bigint
  readonly cells: readonly string[]
}

/** In the order of the rowids. */
export function storedIn(raw: Sqlite.Database, table: string): Stored[] {
  const names = raw.prepare<[string], string>('SELECT name FROM pragma_table_info(?)').pluck().all(table)
  const cells = names.map((name) => `${name}, typeof(${name}), CAST(${name} AS BLOB)`)
  const rows = raw
    .prepare<[], [bigint, ...unknown[]]>(`SELECT rowid, ${cells.join()} FROM ${table} ORDER BY rowid`)
    .raw()
    .safeIntegers()
    .all()
  return rows.map(([rowid, ...values]) => ({
    rowid,
    cells: names.map((_, index) => {
      const [value, type, bytes] = values.slice(3 * index)
      if (typeof value === 'number') return `real ${bitsOf(value)}`
      return `${type} ${type === 'text' || type === 'blob' ? (bytes as Buffer).toString('hex') : value}`
    }),
  }))
}
