/** The tables of a PostgreSQL database, by what the database says of itself. */
import type { Ask } from '../database/postgres/single.ts'
import { TABLE_ROW, tablesOfRows } from '../schema/described.ts'
import type { Table } from '../schema/tables.ts'
import { assertFits, type DatabaseTables, type FittingTypes, inOrder, OUR_TABLES_ALONE, unlike } from './own-tables.ts'

const TYPES: FittingTypes = {
  text: /^(text|character varying)\b/,
  jsonb: /^jsonb?$/,
  integer: /^integer$/,
  boolean: /^boolean$/,
  'double precision': /^double precision$/,
}

/** Ordinary tables of the schema with their columns, and whether a column alone is the primary key. */
const COLUMNS = `
  SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), coalesce(k.conkey = ARRAY[a.attnum], false)
  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY($1)`

const FOREIGN_KEYS = `
  SELECT c.relname, p.relname,
    array_to_json(ARRAY(SELECT attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, at)
      JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY at))::text,
    array_to_json(ARRAY(SELECT attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (attnum, at)
      JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY at))::text
  FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_class AS p ON p.oid = k.confrelid
  WHERE k.contype = 'f' AND k.conparentid = 0 AND c.relnamespace = current_schema()::regnamespace
    AND p.relnamespace = c.relnamespace AND c.relname = ANY($1)
  ORDER BY k.oid`

/** A described table that is not there has no rows, and is left out. Throws SCHEMA_MISMATCH for a bad description. */
export async function tablesOn(ask: Ask): Promise<DatabaseTables> {
  const described = await describedOn(ask)
  if (described.length === 0) return OUR_TABLES_ALONE
  const names = described.map(({ name }) => name)
  const columns = await ask<[string, string, string, boolean]>(COLUMNS, [names])
  const own = described.filter(({ name }) => columns.some(([table]) => table === name))
  for (const table of own) {
    const real = columns.filter(([name]) => name === table.name)
    assertFits(
      table,
      real.map(([, name, type]) => ({ name, type })),
      TYPES,
    )
    const isKey = real.some(([, name, , isPrimary]) => isPrimary && name === table.key.name)
    if (!isKey) throw unlike(table, `has another primary key than ${table.key.name}`)
  }
  const keys = await ask<[string, string, string, string]>(FOREIGN_KEYS, [names])
  return inOrder(
    own,
    keys.map(([table, parent, columns, parentColumns]) => ({
      table,
      parent,
      columns: JSON.parse(columns) as string[],
      parentColumns: JSON.parse(parentColumns) as string[],
    })),
  )
}

/** The tables that `meshstore_state` describes, whether or not they are there. */
async function describedOn(ask: Ask): Promise<Table[]> {
  const [there] = await ask<[boolean]>("SELECT to_regclass('meshstore_state') IS NOT NULL")
  if (there?.[0] !== true) return []
  const rows = await ask<[string, string]>(
    'SELECT name, value FROM meshstore_state WHERE starts_with(name, $1) ORDER BY name',
    [TABLE_ROW],
  )
  return tablesOfRows(rows)
}
