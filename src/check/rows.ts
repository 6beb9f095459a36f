/** Looks at every row: values that the library could not read, or would refuse to write. */

import type { Snapshot } from '../rows/source.ts'
import { columnsOf, TABLE_NAMES, type TableName } from '../rows/tables.ts'
import { UndecodableValue } from '../schema/codecs.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'
import { BrokenText, type Problem } from '../transfer/rows.ts'
import type { Finding, Findings } from './findings.ts'
import type { Settings } from './options.ts'

export async function checkRows(snapshot: Snapshot, findings: Findings, { onProgress }: Settings): Promise<void> {
  const progress = await progressOver(snapshot, onProgress)
  for (const table of TABLE_NAMES) {
    for await (const slice of snapshot.slices(table)) {
      for (const cells of slice) checkRow(table, cells, findings)
      progress(slice.length)
    }
  }
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

const CACHED = 'Delete the row: a cached path is computed anew.'
const UNWRITABLE = 'It can be read, but would be refused if it were saved again, or imported. Correct it.'

function checkRow(table: TableName, cells: readonly unknown[], findings: Findings): void {
  const add = (severity: Finding['severity'], problem: Problem, advice: string): void =>
    findings.add({ severity, check: 'rows', advice, ...described(table, cells[0], problem) })
  let unwritable: Problem | undefined
  const values = columnsOf(table).map(({ name: column, kind }, index) => {
    try {
      if (cells[index] instanceof BrokenText) throw new UndecodableValue('is no UTF-8')
      const value = kind.fromCell(cells[index])
      unwritable ??= problemOf(column, kind.rule(value))
      return value
    } catch (error) {
      if (!(error instanceof UndecodableValue)) throw error
      add('error', { column, message: error.message }, table === 'path_cache' ? CACHED : 'Correct or delete the row.')
      return undefined
    }
  })
  if (table === 'path_cache' && !isItsKey(values)) {
    const problem = { column: 'cache_key', message: 'is not made of source, destination and k' }
    add('warning', problem, `No read by key finds it. ${CACHED}`)
  }
  // The first one only: the row has to be corrected by hand anyway.
  if (unwritable !== undefined) add('warning', unwritable, UNWRITABLE)
}

function described(
  table: TableName,
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
  // A value that cannot be read has its own finding.
  if (typeof source !== 'string' || typeof destination !== 'string' || typeof k !== 'number') return true
  return key === undefined || key === cacheKey({ source, destination, k })
}
