import type pg from 'pg'
import { type Catalog, type Drift, driftOf, type TableParts } from './drift.ts'
import type { Migration } from './migrations.ts'

/**
 * Compares the tables with what the applied migrations make in the same server: temporary tables, in a transaction that is
 * rolled back. `undefined` where the role, or the server, allows no temporary tables.
 */
export async function postgresDrift(pool: pg.Pool, applied: readonly Migration[]): Promise<Drift | undefined> {
  const client = await pool.connect()
  try {
    const schema = await schemaOf(client)
    try {
      // On a replica this is refused.
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE')
      await client.query('SET LOCAL search_path = pg_temp')
      for (const { statements } of applied) for (const statement of statements) await client.query(statement)
    } catch (error) {
      if (REFUSED.has((error as pg.DatabaseError).code ?? '')) return undefined
      throw error
    }
    const temporary = await client.query<{ schema: string }>(
      'SELECT nspname::text AS schema FROM pg_namespace WHERE oid = pg_my_temp_schema()',
    )
    await client.query('SET LOCAL search_path = pg_catalog')
    const expected = await catalogOf(client, temporary.rows[0]?.schema ?? '')
    return driftOf(expected, await catalogOf(client, schema))
  } finally {
    // Ends the transaction too, whatever happened.
    client.release(true)
  }
}

/** Where our tables are found without a schema's name: not always in the first of the search path. */
async function schemaOf(client: pg.PoolClient): Promise<string> {
  const { rows } = await client.query<{ schema: string | null }>(
    `SELECT coalesce(
       (SELECT nspname FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, position)
        JOIN pg_namespace ON nspname = path.name
        WHERE EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_namespace.oid
                      AND relname IN ('nodes', 'policies', 'path_cache', 'meshstore_state') AND relkind IN ('r', 'p'))
        ORDER BY position LIMIT 1),
       current_schema())::text AS schema`,
  )
  return rows[0]?.schema ?? 'public'
}

/** insufficient_privilege, read_only_sql_transaction, and the answers of servers without temporary tables. */
const REFUSED: ReadonlySet<string> = new Set(['42501', '25006', '0A000'])

/** With the search path on the catalog alone, definitions name every table with its schema, which is then taken away. */
async function catalogOf(client: pg.PoolClient, schema: string): Promise<Catalog> {
  const query = async <R extends pg.QueryResultRow>(sql: string): Promise<R[]> =>
    (await client.query<R>(sql, [schema])).rows
  const tables = await query<{ name: string }>(
    `SELECT relname::text AS name FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind IN ('r', 'p')`,
  )
  const columns = await query<{ table: string; name: string; definition: string }>(
    `SELECT relname::text AS table, attname::text AS name,
       concat_ws(' ', attname, format_type(atttypid, atttypmod),
         CASE WHEN attcollation NOT IN (0, (SELECT typcollation FROM pg_type WHERE pg_type.oid = atttypid))
           THEN 'COLLATE ' || attcollation::regcollation::text END,
         CASE WHEN attnotnull THEN 'NOT NULL' END,
         'DEFAULT ' || pg_get_expr(adbin, adrelid)) AS definition
     FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
     LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
     ORDER BY attrelid, attnum`,
  )
  // NOT NULL is said of the column; since PostgreSQL 18 it is a constraint too.
  const constraints = await query<{ table: string; definition: string }>(
    `SELECT relname::text AS table, 'CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid) AS definition
     FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND contype <> 'n'`,
  )
  const additions = await query<{ table: string; name: string; definition: string }>(
    `SELECT tables.relname::text AS table, indexes.relname::text AS name, pg_get_indexdef(indexrelid) AS definition
     FROM pg_index JOIN pg_class tables ON tables.oid = indrelid JOIN pg_class indexes ON indexes.oid = indexrelid
     WHERE tables.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND NOT indisprimary
     UNION ALL
     SELECT relname::text, tgname::text, 'trigger ' || tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND NOT tgisinternal`,
  )
  const of = <R extends { table: string }>(rows: readonly R[], name: string): R[] =>
    rows.filter(({ table }) => table === name)
  return {
    tables: new Map(
      tables.map(({ name }): [string, TableParts] => {
        const own = of(columns, name)
        const parts = [...own, ...of(constraints, name)].map(({ definition }) => definition)
        const added = of(additions, name).map((row): [string, string] => [
          row.name,
          unqualified(row.definition, schema),
        ])
        return [name, { columns: own.map((column) => column.name), parts: new Set(parts), additions: new Map(added) }]
      }),
    ),
  }
}

const unqualified = (definition: string, schema: string): string =>
  definition
    .replaceAll('pg_temp.', '')
    .replaceAll(`${schema}.`, '')
    .replaceAll(`"${schema.replaceAll('"', '""')}".`, '')
