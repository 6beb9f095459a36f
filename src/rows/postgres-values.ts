/** Limits of PostgreSQL: texts without NUL, integers of 32 bits, and a maximum size of index entries. */
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import type { Problem } from '../schema/cells.ts'
import { type Kind, kindOf } from '../schema/kinds.ts'
import * as postgres from '../schema/postgres.ts'
import * as rules from '../schema/rules.ts'
import { type Column, TABLES, type Table } from '../schema/tables.ts'

type Holds = (value: unknown) => string | undefined

/** jsonb takes neither `\u0000` nor half of a surrogate pair. */
const listProblem: Holds = (value) => {
  for (const item of value as readonly unknown[]) {
    const problem = rules.isStorableText(item)
    if (problem !== undefined) return `has an item that ${problem}`
  }
  return undefined
}

/** Checks by the column's PostgreSQL type. PostgreSQL can hold each readable time. */
const HOLDS: Partial<Record<Kind['postgres'], Holds>> = {
  text: rules.isStorableText,
  jsonb: listProblem,
  integer: rules.isInteger(rules.MIN_INTEGER, rules.MAX_INTEGER),
}

/** Checks a readable value of a column. */
export const heldProblem = (column: Column, value: unknown): string | undefined =>
  HOLDS[kindOf(column).postgres]?.(value)

const TWINS: Readonly<Record<string, PgTable>> = postgres
/** Text columns in each index of a table: only texts can be too long. */
const INDEXES = new Map(
  Object.values(TABLES).map((table): [string, readonly (readonly string[])[]] => {
    const texts = table.columns.filter((column) => kindOf(column).postgres === 'text').map(({ name }) => name)
    const twin = TWINS[table.twin]
    const indexes = (twin === undefined ? [] : getTableConfig(twin).indexes).map(({ config }) =>
      config.columns.flatMap((column) => ('name' in column && column.name !== undefined ? [column.name] : [])),
    )
    return [table.name, [[table.key.name], ...indexes.map((names) => names.filter((name) => texts.includes(name)))]]
  }),
)
/** A third of a page less its headers. A longer compressible text may still fit. */
const INDEX_BYTES = 2_680

/** Ids that may be too long for an index. */
/** An own table's indexes are known to its server alone. */
export function indexProblem({ name, key, columns }: Table, values: readonly unknown[]): Problem | undefined {
  for (const indexed of INDEXES.get(name) ?? [[key.name]]) {
    let bytes = 0
    for (const [index, column] of columns.entries()) {
      const value = values[index]
      if (indexed.includes(column.name) && typeof value === 'string') bytes += Buffer.byteLength(value)
    }
    if (bytes <= INDEX_BYTES) continue
    const together = indexed.length > 1 ? `together with ${indexed.slice(1).join(', ')} ` : ''
    return { column: indexed[0] ?? '', message: `may ${together}be too long for an index (${bytes} bytes)` }
  }
  return undefined
}
