/** Looks at every row: what the library could not read, what it would refuse to write, and what could not be moved. */

import { heldProblem, indexProblem } from '../rows/postgres-values.ts'
import type { Snapshot } from '../rows/source.ts'
import { columnsOf, TABLE_NAMES, type TableName } from '../rows/tables.ts'
import { UndecodableValue } from '../schema/codecs.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'
import { BrokenText, type Problem } from '../transfer/rows.ts'
import type { CheckName, Finding, Findings } from './findings.ts'
import type { Settings } from './options.ts'

export interface RowChecks {
  /** Whether the rows may have to be moved to PostgreSQL, being elsewhere. */
  readonly mayMove: boolean
}

export const ROW_CHECKS: readonly CheckName[] = ['rows', 'expired-paths', 'clock']

export async function checkRows(
  snapshot: Snapshot,
  findings: Findings,
  { mayMove, now, limits, onProgress }: RowChecks & Settings,
): Promise<void> {
  const progress = await progressOver(snapshot, onProgress)
  const seconds = now().getTime() / 1000
  let expired = 0
  for (const table of TABLE_NAMES) {
    const judge = new Judge(table, findings, mayMove)
    const future = new Future(table, seconds)
    for await (const slice of snapshot.slices(table)) {
      for (const cells of slice) {
        const values = judge.valuesOf(cells)
        future.look(values)
        const [until] = values.slice(-1)
        if (table === 'path_cache' && typeof until === 'number' && until <= seconds) expired++
      }
      progress(slice.length)
    }
    future.report(findings)
  }
  if (expired < limits.expiredPaths) return
  findings.add({
    severity: 'info',
    check: 'expired-paths',
    message: `${expired} of the cached paths have expired; reads leave them out.`,
    advice: 'Call pathCache.deleteExpired() now and then: it gives their space back.',
    table: 'path_cache',
    count: expired,
  })
}

async function progressOver(snapshot: Snapshot, onProgress: Settings['onProgress']): Promise<(rows: number) => void> {
  if (onProgress === undefined) return () => {}
  let total = 0
  for (const table of TABLE_NAMES) total += await snapshot.count(table)
  let done = 0
  return (rows) => {
    done += rows
    onProgress({ done, total: Math.max(done, total) })
  }
}

const ADVICE = {
  unreadable: 'Correct or delete the row.',
  cached: 'Delete the row: a cached path is computed anew.',
  unwritable: 'It can be read, but would be refused if it were saved again, or imported. Correct it.',
  unmovable: 'Correct it before the data is moved to PostgreSQL.',
}

class Judge {
  readonly #table: TableName
  readonly #findings: Findings
  readonly #mayMove: boolean

  constructor(table: TableName, findings: Findings, mayMove: boolean) {
    this.#table = table
    this.#findings = findings
    this.#mayMove = mayMove
  }

  /** The row's values in order; `undefined` is what cannot be read. */
  valuesOf(cells: readonly unknown[]): unknown[] {
    const table = this.#table
    const sound: Problem[] = []
    const values = columnsOf(table).map(({ name: column, kind }, index) => {
      try {
        if (cells[index] instanceof BrokenText) throw new UndecodableValue('is no UTF-8')
        const value = kind.fromCell(cells[index])
        const held = this.#mayMove ? heldProblem(table, column, value) : undefined
        if (held !== undefined) this.#unmovable(cells, { column, message: held })
        else sound.push(...problemsOf(column, kind.rule(value)))
        return value
      } catch (error) {
        if (!(error instanceof UndecodableValue)) throw error
        const advice = table === 'path_cache' ? ADVICE.cached : ADVICE.unreadable
        this.#add(cells, { column, message: error.message }, { severity: 'error', check: 'rows', advice })
        return undefined
      }
    })
    if (table === 'path_cache' && !isItsKey(values)) {
      const advice = `Nobody finds it. ${ADVICE.cached}`
      const problem = { column: 'cache_key', message: 'is not made of source, destination and k' }
      this.#add(cells, problem, { severity: 'warning', check: 'rows', advice })
    }
    const [problem] = sound
    const index = this.#mayMove ? indexProblem(table, values) : undefined
    if (index !== undefined) this.#unmovable(cells, index)
    else if (problem !== undefined)
      this.#add(cells, problem, { severity: 'warning', check: 'rows', advice: ADVICE.unwritable })
    return values
  }

  #unmovable(cells: readonly unknown[], problem: Problem): void {
    this.#add(cells, problem, { severity: 'warning', check: 'postgresql', advice: ADVICE.unmovable })
  }

  #add(
    [key]: readonly unknown[],
    { column, message }: Problem,
    kind: Pick<Finding, 'severity' | 'check' | 'advice'>,
  ): void {
    const named = typeof key === 'string' ? { key: shortened(key) } : {}
    const row = named.key === undefined ? 'of a row without a key that is text' : `of ${JSON.stringify(named.key)}`
    this.#findings.add({
      ...kind,
      message: `${this.#table}: ${column} ${row} ${message}.`,
      table: this.#table,
      ...named,
      column,
    })
  }
}

/** The first alone: it is corrected by hand anyway. */
function problemsOf(column: string, found: ReturnType<rules.Rule>): Problem[] {
  if (found === undefined) return []
  if (typeof found === 'string') return [{ column, message: found }]
  return found.slice(0, 1).map((issue) => {
    const { path, message } = rules.within(column, issue)
    return { column: path, message }
  })
}

/** A key that nobody checked may be as long as a book. */
const shortened = (key: string): string => (key.length <= 2 * rules.MAX_ID_CHARACTERS ? key : rules.shown(key))

function isItsKey([key, source, destination, k]: readonly unknown[]): boolean {
  // What cannot be read has been found already.
  if (typeof source !== 'string' || typeof destination !== 'string' || typeof k !== 'number') return true
  return key === undefined || key === cacheKey({ source, destination, k })
}

/** Clocks differ by seconds, not by days. */
const AHEAD_SECONDS = 86_400

/** Rows that were written after now: a clock was wrong. */
class Future {
  readonly #table: TableName
  readonly #limit: number
  readonly #columns: readonly { readonly name: string; readonly index: number }[]
  #count = 0
  #example: string | undefined

  constructor(table: TableName, now: number) {
    this.#table = table
    this.#limit = now + AHEAD_SECONDS
    const columns = columnsOf(table).map(({ name }, index) => ({ name, index }))
    this.#columns = columns.filter(({ name }) => name === 'created_at' || name === 'updated_at')
  }

  look(values: readonly unknown[]): void {
    const ahead = this.#columns.some(({ index }) => ((values[index] as number | undefined) ?? 0) > this.#limit)
    if (!ahead) return
    this.#count++
    if (this.#example === undefined && typeof values[0] === 'string') this.#example = shortened(values[0])
  }

  report(findings: Findings): void {
    if (this.#count === 0) return
    const like = this.#example === undefined ? '' : `, ${JSON.stringify(this.#example)} for example`
    findings.add({
      severity: 'info',
      check: 'clock',
      message: `${this.#table}: ${this.#count} rows have a time more than a day ahead of this machine's clock${like}.`,
      advice: 'Look at the clocks of the machines that write. Nothing else depends on these times.',
      table: this.#table,
      ...(this.#example !== undefined && { key: this.#example }),
      count: this.#count,
    })
  }
}
