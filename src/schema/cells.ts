/** Rows as their database has them, and as they go into another one. */
import { kindOf } from './kinds.ts'
import type { Table } from './tables.ts'

/** A text that is no UTF-8: what the driver makes of it is something else. */
export class BrokenText {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

/** A value with all of its bits: integers as BigInt. */
export type Cell = null | bigint | number | string | Buffer | BrokenText

export interface StoredRow {
  /** Where rows have one. */
  readonly rowid?: bigint
  readonly row: Readonly<Record<string, Cell>>
}

export interface Problem {
  /** `''` where it is the row as a whole. */
  readonly column: string
  readonly message: string
}

/** A cell that every dialect has the same of: lists as this library writes them, flags as integers, all else as it is. */
export type Plain = string | number | null

/** Of a row that has been judged. */
export const plainCells = ({ columns }: Table, cells: readonly unknown[]): Plain[] =>
  columns.map((column, index) => {
    const cell = cells[index]
    if (typeof cell === 'string') return kindOf(column).hash === 'list' ? canonicalList(cell) : cell
    return typeof cell === 'boolean' ? Number(cell) : (cell as number | null)
  })

/** As this library writes a list: Python writes `["a", "b"]`, PostgreSQL's jsonb spaces anew. */
export function canonicalList(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}

/** A key in words. */
export const shownKey = (cell: unknown): string =>
  typeof cell === 'string' ? JSON.stringify(cell) : '(a key that is no text)'
