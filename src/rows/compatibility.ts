/** Checks stored rows: unreadable values, and values that another dialect cannot hold. */

import { BrokenText, keyCell, type Problem, shownKey } from '../schema/cells.ts'
import { UndecodableValue } from '../schema/codecs.ts'
import { kindOf } from '../schema/kinds.ts'
import type { Table } from '../schema/tables.ts'
import { heldProblem, indexProblem } from './postgres-values.ts'

export interface Flaw extends Problem {
  /** `value` and `index`: the value can be read, but the target cannot store it. */
  readonly kind: 'unreadable' | 'value' | 'index'
}

export interface Compatibility {
  /** The values in their file form; `undefined` for an unreadable cell. */
  readonly values: readonly unknown[]
  /** In the order of the columns. Nearly all rows have no flaws. */
  readonly flaws: readonly Flaw[]
}

interface CompatibilityOptions {
  /** The target's dialect. */
  readonly into?: 'sqlite' | 'postgresql' | undefined
  /** The row is copied without decoding. */
  readonly carried?: boolean
}

export function compatibilityOf(
  table: Table,
  cells: readonly unknown[],
  { into, carried = false }: CompatibilityOptions = {},
): Compatibility {
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
 * Why a database of the dialect cannot hold the row. A row that breaks only a validation rule, such as an id of 300
 * characters, is copied.
 */
export const problemsOf = (
  table: Table,
  cells: readonly unknown[],
  into: 'sqlite' | 'postgresql',
): readonly Problem[] =>
  compatibilityOf(table, cells, { into, carried: true }).flaws.map(({ column, message }) => ({ column, message }))

/** A stored row's values in their file form, or the problem of the first unreadable value. */
export type ReadRow = { readonly values: readonly unknown[] } | { readonly key: string; readonly problem: Problem }

export function readRow(table: Table, cells: readonly unknown[]): ReadRow {
  const { values, flaws } = compatibilityOf(table, cells)
  const [flaw] = flaws
  if (flaw === undefined) return { values }
  return { key: shownKey(keyCell(table, cells)), problem: { column: flaw.column, message: flaw.message } }
}
