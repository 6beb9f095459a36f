/** Unique values that rows exchange within a segment: one row is written while another one still has its new value. */
import type { Ask } from '../database/postgres/single.ts'
import { isError } from '../errors.ts'
import { insert } from '../rows/postgres-target.ts'
import type { Plain } from '../schema/cells.ts'
import { quotedName as quoted } from '../schema/described.ts'
import { kindOf } from '../schema/kinds.ts'
import type { Table } from '../schema/tables.ts'

/** The unique indexes but the primary key's: their expressions, condition and columns. PostgreSQL 14 has no NULLS NOT DISTINCT. */
const UNIQUE = `SELECT json_build_object(
    'expressions', ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false) FROM generate_series(1, i.indnkeyatts) AS n),
    'condition', coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'),
    'nullsAreEqual', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
    'columns', ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND (
      a.attnum = ANY(i.indkey::int2[]) AND a.attnum > 0 OR a.attnum IN (SELECT d.refobjsubid FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid))))::text
  FROM pg_index AS i WHERE i.indrelid = $1::regclass AND i.indisunique AND NOT i.indisprimary`

interface UniqueIndex {
  readonly expressions: readonly string[]
  readonly condition: string
  readonly nullsAreEqual: boolean
  readonly columns: readonly string[]
}

/** Inserts or replaces rows. Deletes rows that have a unique value of these: they have changed, and their own line comes later. */
export async function putApart(ask: Ask, table: Table, rows: readonly (readonly Plain[])[]): Promise<void> {
  await ask('SAVEPOINT meshstore_put')
  try {
    await insert(ask, table, rows, 'replace')
  } catch (error) {
    if (!isCollision(error)) throw error
    await ask('ROLLBACK TO SAVEPOINT meshstore_put')
    await deleteOwners(ask, table, rows)
    await insert(ask, table, rows, 'replace')
  }
  await ask('RELEASE SAVEPOINT meshstore_put')
}

/** The standby's foreign keys have no actions: children stay as they are, and are checked at the end of the segment. */
async function deleteOwners(ask: Ask, table: Table, rows: readonly (readonly Plain[])[]): Promise<void> {
  const { key, columns } = table
  const names = columns.map(({ name }) => name)
  const lists = columns.map((column, index) => `$${index + 1}::${kindOf(column).postgres}[]`)
  const given = columns.map((_, index) => rows.map((row) => row[index]))
  for (const [text] of await ask<[string]>(UNIQUE, [quoted(table.name)])) {
    const { expressions, condition, nullsAreEqual, columns: used } = JSON.parse(text) as UniqueIndex
    if (!used.every((name) => names.includes(name))) continue
    const same = nullsAreEqual ? 'IS NOT DISTINCT FROM' : '='
    const values = expressions.map((expression, index) => `(${expression}) AS meshstore_${index}`)
    const isSame = expressions.map((expression, index) => `(${expression}) ${same} v.meshstore_${index}`)
    await ask(
      `DELETE FROM ${quoted(table.name)} USING (
         SELECT ${quoted(key.name)} AS meshstore_key, ${values.join(', ')}
         FROM unnest(${lists.join(', ')}) AS u (${names.map(quoted).join(', ')}) WHERE ${condition}) AS v
       WHERE (${condition}) AND ${isSame.join(' AND ')} AND ${quoted(key.name)} <> v.meshstore_key`,
      given,
    )
  }
}

const isCollision = (error: unknown): boolean => {
  const cause = isError(error) ? error.cause : undefined
  return isError(cause) && 'code' in cause && cause.code === '23505'
}
