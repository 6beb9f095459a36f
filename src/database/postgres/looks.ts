/**
 * Reads the keys of inserts that wrote nothing. Their caller knows whether each key was free, so the transaction must depend on
 * that. For PostgreSQL it does not: ON CONFLICT DO NOTHING reads no row and takes no predicate lock, and what a savepoint inserted
 * is forgotten when it is rolled back. Two transactions could each find the other's row missing (write skew).
 */
import { type Column, getTableName, sql, type Table } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import type { Inserted } from '../inserted-keys.ts'
import type { BoundStatement, Compiled, Looks } from '../statement.ts'
import { textArray } from './arrays.ts'

const dialect = new PgDialect()

export function looksOf(table: Table, key: Column): Looks {
  const name = getTableName(table)
  return {
    keys: look(`${name}.keys`, sql`SELECT ${key} FROM ${table} WHERE ${key} = ANY($1::text[])`, ([there]) =>
      String(there),
    ),
    all: look(`${name}.all`, sql`SELECT count(*) FROM ${table}`),
  }
}

const look = <R = never>(
  name: string,
  query: ReturnType<typeof sql>,
  decode?: (row: readonly unknown[]) => R,
): Compiled<never, R> => ({
  name,
  sql: dialect.sqlToQuery(query).sql,
  bind: () => [],
  decode,
})

/** Reads the keys: from now on the transaction depends on them. */
export function* lookingAt(inserted: Inserted): Generator<BoundStatement<unknown>> {
  for (const [looks, keys] of inserted) {
    if (keys === 'any') yield { compiled: looks.all, values: [] }
    else yield { compiled: looks.keys, values: [textArray.mapToDriverValue([...keys])] }
  }
}
