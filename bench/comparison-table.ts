/** Several columns beside one another: peers, numbers of rows or of processes. */
import type { Result, Unit } from './result.ts'
import type { Summary } from './statistics.ts'

export interface Cell {
  readonly value: Summary
  /** By the first column's, round by round. Absent in the first column itself. */
  readonly ratio?: Summary | undefined
}

export interface TableRow {
  readonly name: string
  readonly unit: Unit
  /** One for each column; `undefined` where there is nothing to measure. */
  readonly cells: readonly (Cell | undefined)[]
}

export interface ComparisonTable {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly TableRow[]
  readonly notes: readonly string[]
  /** The columns are peers, the first of which is the library: who is faster can be said. */
  readonly peers: boolean
}

export const isTable = (outcome: Result | ComparisonTable): outcome is ComparisonTable => 'columns' in outcome

/** Whether a figure is better the larger it is. */
export const moreIsBetter = (unit: Unit): boolean => unit === '/s'

/** How many times better the first column is than this cell: above 1 where it is ahead. */
export function lead(unit: Unit, { ratio }: Cell): number | undefined {
  if (ratio === undefined || Number.isNaN(ratio.p50)) return undefined
  return moreIsBetter(unit) ? 1 / ratio.p50 : ratio.p50
}

/** The columns that are ahead of the first one in a row. */
export function ahead({ columns }: ComparisonTable, { unit, cells }: TableRow): string[] {
  return columns.filter((_, n) => {
    const cell = cells[n]
    return cell !== undefined && (lead(unit, cell) ?? 1) < 1
  })
}
