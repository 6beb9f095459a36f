import type { OtherData } from '../api.ts'
import { StorageError } from '../errors.ts'
import { readRow } from '../rows/compatibility.ts'
import { assertNoOthers } from '../rows/other-data.ts'
import { progressOver, type Snapshot } from '../rows/source.ts'
import type { Problem } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import { headerLine, rowLine, trailerLine } from './format.ts'
import type { Output } from './output.ts'

export interface ExportOptions {
  /** Names. Default: all of the database. */
  readonly tables?: readonly string[] | undefined
  /** Leaves unreadable rows out, and counts the export as complete. */
  readonly skipInvalid: boolean
  /** Leaves out the application's tables that are not described, and its columns in ours. */
  readonly ignoreOtherTables?: boolean | undefined
  readonly onProgress?: ((progress: { done: number; total: number }) => void) | undefined
  /** Called with each unreadable row. */
  readonly onInvalid: (row: InvalidRow) => void
}

export interface InvalidRow extends Problem {
  readonly table: string
  readonly key: string
}

export interface ExportReport {
  /** Whether the output is complete. An incomplete output has no trailer; an incomplete file is deleted. */
  readonly complete: boolean
  readonly schema: string
  readonly rows: Readonly<Record<string, number>>
  readonly invalid: number
  /** The application's own tables and columns, which the output leaves out. */
  readonly leftBehind?: readonly OtherData[]
}

/** Throws CONFIG for a name that the database does not have. */
function chosen(tables: readonly Table[], names: readonly string[] | undefined): readonly Table[] {
  if (names === undefined) return tables
  const unknown = names.find((name) => !tables.some((table) => table.name === name))
  if (unknown !== undefined) {
    const known = tables.map(({ name }) => name).join(', ')
    throw new StorageError('CONFIG', `There is no table ${JSON.stringify(unknown)} to export. Name one of ${known}.`)
  }
  return tables.filter(({ name }) => names.includes(name))
}

/** Writes a snapshot in constant memory. After an unreadable row it still checks all other rows. */
export async function exportSnapshot(
  snapshot: Snapshot,
  output: Output,
  options: ExportOptions,
): Promise<ExportReport> {
  const { skipInvalid, onInvalid, onProgress } = options
  const tables = chosen((await snapshot.tables()).tables, options.tables)
  const { schemaVersion: schema } = snapshot
  const leftBehind = assertNoOthers(await snapshot.others(), options.ignoreOtherTables)
  const progress = await progressOver(snapshot, tables, onProgress && ((done, total) => onProgress({ done, total })))
  await output.write(headerLine({ schema, tables: tables.map(({ name }) => name) }))
  const rows: Record<string, number> = {}
  let invalid = 0
  for (const table of tables) {
    let written = 0
    for await (const slice of snapshot.slices(table)) {
      let text = ''
      for (const cells of slice) {
        const read = readRow(table, cells)
        if ('values' in read) {
          text += rowLine(table, read.values)
          written++
        } else {
          invalid++
          onInvalid({ table: table.name, key: read.key, ...read.problem })
        }
      }
      await output.write(text)
      progress(slice.length)
    }
    rows[table.name] = written
  }
  const complete = invalid === 0 || skipInvalid
  if (complete) {
    await output.write(trailerLine(rows))
    await output.finish()
  } else await output.discard()
  return { complete, schema, rows, invalid, ...(leftBehind.length > 0 && { leftBehind }) }
}
