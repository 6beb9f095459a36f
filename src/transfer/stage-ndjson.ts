import { propertyOf, StorageError } from '../errors.ts'
import type { Table } from '../schema/tables.ts'
import { type Counts, countsOf } from './counts.ts'
import { FORMAT, MAX_LINE_BYTES, VERSION } from './format.ts'
import { type Line, linesOf } from './lines.ts'
import { checkRow } from './rows.ts'
import type { OnConflict, Staging } from './staging.ts'

/** Reads the export format: stages valid rows, and records the other lines as refusals. */
export async function stageNdjson(
  bytes: AsyncIterable<Buffer>,
  staging: Staging,
  counts: Counts,
  { onConflict, tables }: { readonly onConflict: OnConflict; readonly tables: readonly Table[] },
): Promise<void> {
  const reading = new Reading(staging, counts, onConflict, tables)
  for await (const line of linesOf(bytes, MAX_LINE_BYTES)) {
    if ('problem' in line) reading.refuse(line.number, line.problem)
    else reading.line(line)
  }
  reading.end()
}

class Reading {
  readonly #staging: Staging
  readonly #counts: Counts
  readonly #onConflict: OnConflict
  readonly #tables: readonly Table[]
  readonly #found = new Map<string, number>()
  /** Unreadable lines, whose tables are unknown. */
  #unknown = 0
  #header = false
  #trailer = false
  #last = 0

  constructor(staging: Staging, counts: Counts, onConflict: OnConflict, tables: readonly Table[]) {
    this.#tables = tables
    this.#staging = staging
    this.#counts = counts
    this.#onConflict = onConflict
  }

  refuse(number: number, message: string, column = ''): void {
    this.#last = number
    this.#unknown++
    this.#staging.refuse({ line: number, column, message })
  }

  line({ number, text }: Line): void {
    this.#last = number
    const value = parsed(text)
    if (!this.#header) {
      assertHeader(value)
      this.#header = true
    } else if (value === undefined) this.refuse(number, 'is no JSON')
    else if (this.#trailer) this.refuse(number, 'stands behind the last line')
    else if (isTrailer(value)) this.#checkTrailer(number, value)
    else this.#row(number, text, value)
  }

  #row(line: number, text: string, value: unknown): void {
    const { table, key, ...rest } = checkRow(value, this.#tables)
    if (table === undefined) this.#unknown++
    else this.#found.set(table, (this.#found.get(table) ?? 0) + 1)
    if ('problems' in rest) {
      for (const problem of rest.problems) this.#staging.refuse({ line, table, key, ...problem })
      return
    }
    if (table === undefined || key === undefined) return
    const before = this.#staging.add(table, { line, key, text }, this.#onConflict)
    if (before === undefined) return
    if (this.#onConflict === 'error')
      this.#staging.refuse({ line, table, key, column: '', message: `has the key of line ${before}` })
    else countsOf(this.#counts, table).repeated++
  }

  #checkTrailer(line: number, { rows }: { rows?: unknown }): void {
    this.#trailer = true
    const said = this.#tables.map(({ name }) => [name, numberIn(rows, name), this.#found.get(name) ?? 0] as const)
    // Rows of tables that are not here are unreadable lines.
    const elsewhere = numbersIn(rows).filter(([name]) => !this.#tables.some((table) => table.name === name))
    const missing =
      said.reduce((sum, [, expected, found]) => sum + expected - found, 0) +
      elsewhere.reduce((sum, [, expected]) => sum + expected, 0)
    // The unreadable lines account for the missing rows.
    if (missing === this.#unknown && (missing > 0 || said.every(([, expected, found]) => expected === found))) return
    const differences = said.filter(([, expected, found]) => expected !== found)
    const words = differences.map(([table, expected, found]) => `${expected} rows of ${table}, and there are ${found}`)
    this.#staging.refuse({
      line,
      column: 'rows',
      message: `says ${words.join('; ') || 'fewer rows than there are lines'}`,
    })
  }

  end(): void {
    if (!this.#header)
      throw new StorageError(
        'VALIDATION',
        'The file is empty. Nothing was imported. Check that the export was completed.',
      )
    if (!this.#trailer)
      this.#staging.refuse({
        line: this.#last,
        column: '',
        message: 'is the last line, and no trailer: the file was cut off',
      })
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function assertHeader(value: unknown): void {
  const [format, version] = [propertyOf(value, 'format'), propertyOf(value, 'version')]
  if (format !== FORMAT)
    throw new StorageError(
      'VALIDATION',
      `The first line is no header of a ${FORMAT} file. Nothing was imported. Check whether the beginning of the file is missing.`,
    )
  if (version !== VERSION)
    throw new StorageError(
      'VALIDATION',
      `The file has another version of the format than this program, which reads version ${VERSION}. Nothing was imported. Use the version of meshstore that wrote it, or a newer one.`,
    )
}

const isTrailer = (value: unknown): value is { end: string; rows?: unknown } =>
  typeof value === 'object' && value !== null && 'end' in value && value.end === FORMAT && !('table' in value)

const numbersIn = (rows: unknown): [name: string, number][] =>
  Object.keys(Object(rows)).map((name) => [name, numberIn(rows, name)])

const numberIn = (rows: unknown, table: string): number => {
  const value = propertyOf(rows, table)
  return typeof value === 'number' ? value : 0
}
