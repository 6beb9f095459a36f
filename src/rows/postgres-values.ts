/** What of a SQLite file PostgreSQL could not hold: its texts have no NUL, its integers 32 bits, its index entries a limit. */
import { getTableColumns } from 'drizzle-orm'
import * as postgres from '../schema/postgres.ts'
import * as rules from '../schema/rules.ts'
import type { Problem } from '../transfer/rows.ts'
import { columnsOf, type TableName } from './tables.ts'

const TABLES = { nodes: postgres.nodes, policies: postgres.policies, path_cache: postgres.pathCache }

type Holds = (value: unknown) => string | undefined

const textProblem: Holds = (value) => rules.isStorableText(value)

/** jsonb takes neither `\u0000` nor half of a surrogate pair. */
const listProblem: Holds = (value) => {
  for (const item of value as readonly unknown[]) {
    const problem = textProblem(item)
    if (problem !== undefined) return `has an item that ${problem}`
  }
  return undefined
}

/** By the type that the column has there. A time that can be read can be held. */
const HOLDS: readonly (readonly [type: RegExp, holds: Holds])[] = [
  [/^text/, textProblem],
  [/^jsonb$/, listProblem],
  [/^integer$/, rules.isInteger(rules.MIN_INTEGER, rules.MAX_INTEGER)],
]

const holders = new Map(
  Object.entries(TABLES).map(([table, columns]) => {
    const named = Object.values(getTableColumns(columns)).map((column): [string, Holds | undefined] => {
      const type = column.getSQLType()
      return [column.name, HOLDS.find(([pattern]) => pattern.test(type))?.[1]]
    })
    return [table, new Map(named)]
  }),
)

/** A value of a column, which the library could read. */
export const heldProblem = (table: TableName, column: string, value: unknown): string | undefined =>
  holders.get(table)?.get(column)?.(value)

const INDEXES: Readonly<Record<TableName, readonly (readonly string[])[]>> = {
  nodes: [['node_id']],
  policies: [['policy_id']],
  path_cache: [['cache_key'], ['source', 'destination']],
}
/** A third of a page less its headers. What can be compressed may be longer, and fit. */
const INDEX_BYTES = 2_680

/** Ids that may be too long for an index. */
export function indexProblem(table: TableName, values: readonly unknown[]): Problem | undefined {
  const names = columnsOf(table).map(({ name }) => name)
  for (const columns of INDEXES[table]) {
    let bytes = 0
    for (const column of columns) {
      const value = values[names.indexOf(column)]
      if (typeof value === 'string') bytes += Buffer.byteLength(value)
    }
    if (bytes <= INDEX_BYTES) continue
    const together = columns.length > 1 ? `together with ${columns.slice(1).join(', ')} ` : ''
    return { column: columns[0] ?? '', message: `may ${together}be too long for an index (${bytes} bytes)` }
  }
  return undefined
}
