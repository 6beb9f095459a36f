/** Lines of an export: a header, a line for each row, a trailer. They contain no time: equal contents make equal files. */
import type { Table } from '../schema/tables.ts'

export const FORMAT = 'meshstore-ndjson'
export const VERSION = 1

/** Maximum length of a line, in bytes: JSON escapes can make a text of 1 MiB six times as long. */
export const MAX_LINE_BYTES = 8 * 1_048_576

export interface Header {
  readonly format: string
  readonly version: number
  /** The last migration of the exported database. */
  readonly schema: string
  readonly tables: readonly string[]
}

/** Number of lines of each table. A file without a trailer was cut off. */
export interface Trailer {
  readonly end: string
  readonly rows: Readonly<Record<string, number>>
}

export const headerLine = (of: Pick<Header, 'schema' | 'tables'>): string =>
  `${JSON.stringify({ format: FORMAT, version: VERSION, ...of })}\n`

export const trailerLine = (rows: Trailer['rows']): string => `${JSON.stringify({ end: FORMAT, rows })}\n`

/** The line of a row whose values are in their file form. */
export function rowLine({ name, columns }: Table, values: readonly unknown[]): string {
  const members = columns.map((column, index) => `${JSON.stringify(column.name)}:${json(values[index])}`)
  return `{"table":${JSON.stringify(name)},${members.join()}}\n`
}

/** The shortest text that reads back as the same 8 bytes; JSON.stringify() forgets the sign of zero. */
const json = (value: unknown): string => (Object.is(value, -0) ? '-0' : JSON.stringify(value))
