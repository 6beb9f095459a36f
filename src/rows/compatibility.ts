/** Which rows can live in a database of a dialect as they are. */

import * as codecs from '../schema/codecs.ts'
import { BrokenText, type Problem } from '../transfer/rows.ts'
import { heldProblem, indexProblem } from './postgres-values.ts'
import { columnsOf, type TableName } from './tables.ts'

/**
 * What is wrong with a stored row's cells; nothing, nearly always. A row that only breaks a rule at the door, an id of 300
 * characters say, can live there as it does here, and is copied.
 */
export function problemsOf(
  table: TableName,
  cells: readonly unknown[],
  into: 'sqlite' | 'postgresql',
): readonly Problem[] {
  const problems: Problem[] = []
  const values = columnsOf(table).map(({ name, kind }, index) => {
    const cell = cells[index]
    try {
      if (cell instanceof BrokenText) throw new codecs.UndecodableValue('is no UTF-8')
      // A bundle is a text there and here: whether it is JSON is found by who reads it.
      const value = name === 'bundle_json' ? codecs.decodeText(cell) : kind.fromCell(cell)
      const message = smallProblem(name, value) ?? (into === 'postgresql' ? heldProblem(table, name, value) : undefined)
      if (message !== undefined) problems.push({ column: name, message })
      return value
    } catch (error) {
      if (!(error instanceof codecs.UndecodableValue)) throw error
      problems.push({ column: name, message: error.message })
      return undefined
    }
  })
  const long = into === 'postgresql' ? indexProblem(table, values) : undefined
  if (long !== undefined) problems.push(long)
  return problems
}

/** The schemas have a CHECK for it, which can be switched off. */
const smallProblem = (column: string, value: unknown): string | undefined =>
  column === 'k' && typeof value === 'number' && value < 1 ? 'must be at least 1' : undefined
