/** Cells of rows: as stored, and as copied into another database. */
import { kindOf } from './kinds.ts'
import type { Table } from './tables.ts'

/** A text with invalid UTF-8, as bytes: the driver would replace some of them. */
export class BrokenText {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

/** An exact value: integers as BigInt. */
export type Cell = null | bigint | number | string | Buffer | BrokenText

export interface StoredRow {
  /** SQLite only. */
  readonly rowid?: bigint
  readonly row: Readonly<Record<string, Cell>>
}

export interface Problem {
  /** `''` for a problem of the whole row. */
  readonly column: string
  readonly message: string
}

/** A cell in the form that all dialects share: lists in this library's spelling, flags as integers, other values unchanged. */
export type Plain = string | number | null

/** The plain cells of a row that was judged. */
export const plainCells = ({ columns }: Table, cells: readonly unknown[]): Plain[] =>
  columns.map((column, index) => {
    const cell = cells[index]
    if (typeof cell === 'string') return kindOf(column).hash === 'list' ? canonicalList(cell) : cell
    return typeof cell === 'boolean' ? Number(cell) : (cell as number | null)
  })

/** A list in this library's spelling: Python writes `["a", "b"]`, and PostgreSQL's jsonb has its own spaces. */
export function canonicalList(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}

/** A key for messages. */
export const shownKey = (cell: unknown): string =>
  typeof cell === 'string' ? JSON.stringify(cell) : '(a key that is no text)'

/** A row's cell of the key. */
export const keyCell = ({ columns, key }: Table, cells: readonly unknown[]): unknown => cells[columns.indexOf(key)]
