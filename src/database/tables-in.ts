/** The tables that a finished query names, subqueries included. */
import { Column, is, SQL, type SQLWrapper, Subquery, Table } from 'drizzle-orm'

/** The table's own name, where the query has it under an alias. */
export const baseNameOf = (table: Table): string =>
  (table as unknown as Readonly<Record<symbol, string>>)[Symbol.for('drizzle:OriginalName')] ?? ''

export function* tablesIn(chunk: unknown): Generator<Table> {
  if (typeof chunk !== 'object' || chunk === null) return
  if (Array.isArray(chunk)) for (const each of chunk) yield* tablesIn(each)
  else if (is(chunk, Table)) yield chunk
  else if (is(chunk, Column)) yield* tablesIn(chunk.table)
  else if (is(chunk, SQL)) yield* tablesIn(chunk.queryChunks)
  else if (is(chunk, Subquery)) yield* tablesIn(chunk._.sql)
  else if (is(chunk, SQL.Aliased)) yield* tablesIn(chunk.sql)
  else if ('getSQL' in chunk && 'config' in chunk) yield* tablesIn((chunk as SQLWrapper).getSQL())
}
