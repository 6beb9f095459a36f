/** The judge of stored rows: what cannot be read of one, and what a database of another dialect could not hold. */

import { BrokenText, type Problem, shownKey } from '../schema/cells.ts'
import { UndecodableValue } from '../schema/codecs.ts'
import { kindOf } from '../schema/kinds.ts'
import type { Table } from '../schema/tables.ts'
import { heldProblem, indexProblem } from './postgres-values.ts'

export interface Flaw extends Problem {
  /** `value` and `index`: it can be read, but not be stored where it is to go. */
  readonly kind: 'unreadable' | 'value' | 'index'
}

export interface Judged {
  /** As they stand in a file; `undefined` for a cell that cannot be read. */
  readonly values: readonly unknown[]
  /** In the order of the columns. Nearly every row has none. */
  readonly flaws: readonly Flaw[]
}

interface Judging {
  /** Where the row is to go. */
  readonly into?: 'sqlite' | 'postgresql' | undefined
  /** It goes there as it is, without being read. */
  readonly carried?: boolean
}

export function judged(table: Table, cells: readonly unknown[], { into, carried = false }: Judging = {}): Judged {
  const flaws: Flaw[] = []
  const values = table.columns.map((column, index) => {
    const { read, carry = read } = kindOf(column)
    const cell = cells[index]
    try {
      if (cell instanceof BrokenText) throw new UndecodableValue('is no UTF-8')
      if (cell === null && column.nullable) return null
      const value = carried ? carry(cell) : read(cell)
      const message =
        (carried ? column.check?.(value) : undefined) ??
        (into === 'postgresql' ? heldProblem(column, value) : undefined)
      if (message !== undefined) flaws.push({ column: column.name, message, kind: 'value' })
      return value
    } catch (error) {
      if (!(error instanceof UndecodableValue)) throw error
      flaws.push({ column: column.name, message: error.message, kind: 'unreadable' })
      return undefined
    }
  })
  const long = into === 'postgresql' ? indexProblem(table, values) : undefined
  if (long !== undefined) flaws.push({ ...long, kind: 'index' })
  return { values, flaws }
}

/**
 * Why a row cannot live in a database of a dialect as it is. A row that only breaks a rule at the door, an id of 300 characters
 * say, can live there as it does here, and is copied.
 */
export const problemsOf = (
  table: Table,
  cells: readonly unknown[],
  into: 'sqlite' | 'postgresql',
): readonly Problem[] =>
  judged(table, cells, { into, carried: true }).flaws.map(({ column, message }) => ({ column, message }))

/** A stored row's values as they stand in a file, or what the library could not read of it. */
export type ReadRow = { readonly values: readonly unknown[] } | { readonly key: string; readonly problem: Problem }

export function readRow(table: Table, cells: readonly unknown[]): ReadRow {
  const { values, flaws } = judged(table, cells)
  const [flaw] = flaws
  if (flaw === undefined) return { values }
  return { key: shownKey(cells[0]), problem: { column: flaw.column, message: flaw.message } }
}
