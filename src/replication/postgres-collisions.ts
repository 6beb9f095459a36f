/** Unique values that rows exchange within a segment: one row is written while another one still has its new value. */
import type { Ask } from '../database/postgres/single.ts'
import { isError } from '../errors.ts'
import { insert } from '../rows/postgres-target.ts'
import type { Plain } from '../schema/cells.ts'
import { quotedName as quoted } from '../schema/described.ts'
import { kindOf } from '../schema/kinds.ts'
import type { Table } from '../schema/tables.ts'

/** The columns of each unique index, but of the primary key's, of expressions and of some rows. */
const UNIQUE = `SELECT array_to_json(ARRAY(SELECT attname::text FROM unnest(i.indkey::int2[]) AS u (attnum)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = u.attnum))::text
  FROM pg_index AS i WHERE i.indrelid = $1::regclass AND i.indisunique AND NOT i.indisprimary
    AND i.indexprs IS NULL AND i.indpred IS NULL`

/** Inserts or replaces rows. Rows that have a unique value of these get another one until their own line comes. */
export async function putApart(ask: Ask, table: Table, rows: readonly (readonly Plain[])[]): Promise<void> {
  await ask('SAVEPOINT meshstore_put')
  try {
    await insert(ask, table, rows, 'replace')
  } catch (error) {
    if (!isCollision(error)) throw error
    await ask('ROLLBACK TO SAVEPOINT meshstore_put')
    await setAside(ask, table, rows)
    await insert(ask, table, rows, 'replace')
  }
  await ask('RELEASE SAVEPOINT meshstore_put')
}

/** Gives a text of each row that is in the way a value that no other row has. */
async function setAside(ask: Ask, table: Table, rows: readonly (readonly Plain[])[]): Promise<void> {
  const { key, columns } = table
  for (const [text] of await ask<[string]>(UNIQUE, [quoted(table.name)])) {
    const names = JSON.parse(text) as string[]
    const unique = columns.filter(({ name }) => names.includes(name))
    const changed = unique.find((column) => kindOf(column).postgres === 'text' && column !== key)
    if (changed === undefined || unique.length < names.length) continue
    const given = unique.includes(key) ? unique : [key, ...unique]
    const lists = given.map((column, index) => `$${index + 1}::${kindOf(column).postgres}[]`)
    const isSame = unique.map(({ name }) => `t.${quoted(name)} = v.${quoted(name)}`).join(' AND ')
    await ask(
      `UPDATE ${quoted(table.name)} AS t SET ${quoted(changed.name)} = 'meshstore ' || gen_random_uuid()
       FROM unnest(${lists.join(', ')}) AS v (${given.map(({ name }) => quoted(name)).join(', ')})
       WHERE ${isSame} AND t.${quoted(key.name)} <> v.${quoted(key.name)}`,
      given.map((column) => rows.map((row) => row[columns.indexOf(column)])),
    )
  }
}

const isCollision = (error: unknown): boolean => {
  const cause = isError(error) ? error.cause : undefined
  return isError(cause) && 'code' in cause && cause.code === '23505'
}
