/** Checks each row for values that the library cannot read, or would refuse to write. */

import { compatibilityOf } from '../rows/compatibility.ts'
import { progressOver, type Snapshot } from '../rows/source.ts'
import { keyCell, type Problem } from '../schema/cells.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'
import { TABLES, type Table } from '../schema/tables.ts'
import type { Finding, Findings } from './findings.ts'
import type { Settings } from './options.ts'

export async function checkRows(snapshot: Snapshot, findings: Findings, { onProgress }: Settings): Promise<void> {
  const report = onProgress && ((done: number, total: number) => onProgress({ done, total: Math.max(done, total) }))
  const { tables } = await snapshot.tables()
  const progress = await progressOver(snapshot, tables, report)
  for (const table of tables) {
    for await (const slice of snapshot.slices(table)) {
      for (const cells of slice) checkRow(table, cells, findings)
      progress(slice.length)
    }
  }
}

const CACHED = 'Delete the row: a cached path is computed anew.'
const UNWRITABLE = 'It can be read, but would be refused if it were saved again, or imported. Correct it.'

function checkRow(table: Table, cells: readonly unknown[], findings: Findings): void {
  const isCached = table === TABLES.pathCache
  const add = (severity: Finding['severity'], problem: Problem, advice: string): void =>
    findings.add({ severity, check: 'rows', advice, ...described(table.name, keyCell(table, cells), problem) })
  const { values, flaws } = compatibilityOf(table, cells)
  for (const flaw of flaws) add('error', flaw, isCached ? CACHED : 'Correct or delete the row.')
  if (isCached && !isItsKey(values)) {
    const problem = { column: 'cache_key', message: 'is not made of source, destination and k' }
    add('warning', problem, `No read by key finds it. ${CACHED}`)
  }
  // Reports only the first: the operator must correct the row by hand anyway.
  for (const [index, { name, fileRule }] of table.columns.entries()) {
    const value = values[index]
    const unwritable = value == null ? undefined : problemOf(name, fileRule(value))
    if (unwritable === undefined) continue
    add('warning', unwritable, UNWRITABLE)
    break
  }
}

function described(
  table: string,
  key: unknown,
  { column, message }: Problem,
): Pick<Finding, 'message' | 'table' | 'key' | 'column'> {
  const named = typeof key === 'string' ? { key: shortened(key) } : {}
  const row = named.key === undefined ? 'of a row without a key that is text' : `of ${JSON.stringify(named.key)}`
  return { message: `${table}: ${column} ${row} ${message}.`, table, ...named, column }
}

function problemOf(column: string, found: ReturnType<rules.Rule>): Problem | undefined {
  if (found === undefined) return undefined
  if (typeof found === 'string') return { column, message: found }
  const [issue] = found
  if (issue === undefined) return undefined
  const { path, message } = rules.within(column, issue)
  return { column: path, message }
}

/** Another program may have written a key of any length. */
const shortened = (key: string): string => (key.length <= 2 * rules.MAX_ID_CHARACTERS ? key : rules.shown(key))

function isItsKey([key, source, destination, k]: readonly unknown[]): boolean {
  // An unreadable value has its own finding.
  if (typeof source !== 'string' || typeof destination !== 'string' || typeof k !== 'number') return true
  return key === undefined || key === cacheKey({ source, destination, k })
}
