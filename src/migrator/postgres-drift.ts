import type pg from 'pg'
import { sqlstateOf } from '../database/postgres/errors.ts'
import { type Addition, type Catalog, type Drift, driftOf, type TableParts } from './drift.ts'
import type { Migration } from './migrations.ts'

/**
 * Compares the tables with temporary tables that the applied migrations make on the same server; they are rolled back.
 * Must run inside a transaction. `undefined` if the role or the server allows no temporary tables.
 */
export async function postgresDrift(client: pg.ClientBase, applied: readonly Migration[]): Promise<Drift | undefined> {
  const schema = await schemaOf(client)
  await client.query('SAVEPOINT compare')
  try {
    await client.query('SET LOCAL search_path = pg_temp')
    for (const { statements } of applied) for (const statement of statements) await client.query(statement)
    const temporary = await client.query<{ schema: string }>(
      'SELECT nspname::text AS schema FROM pg_namespace WHERE oid = pg_my_temp_schema()',
    )
    // With this search path, definitions name each table with its schema.
    await client.query('SET LOCAL search_path = pg_catalog')
    const { rows } = await client.query<{ quoted: string }>('SELECT quote_ident($1) AS quoted', [schema])
    const as = rows[0]?.quoted ?? schema
    return driftOf(await catalogOf(client, temporary.rows[0]?.schema ?? '', as), await catalogOf(client, schema, as))
  } catch (error) {
    if (REFUSED.has(sqlstateOf(error) ?? '')) return undefined
    throw error
  } finally {
    await client.query('ROLLBACK TO SAVEPOINT compare')
  }
}

/** Compares in a transaction of its own. `undefined` on a replica, which refuses temporary tables. */
export async function driftNow(pool: pg.Pool, applied: readonly Migration[]): Promise<Drift | undefined> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE')
    return await postgresDrift(client, applied)
  } catch (error) {
    if (REFUSED.has(sqlstateOf(error) ?? '')) return undefined
    throw error
  } finally {
    // Ends the transaction too, whatever happened.
    client.release(true)
  }
}

/** The schema in which unqualified names find our tables: not always the first of the search path. */
async function schemaOf(client: pg.ClientBase): Promise<string> {
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

/** `as`: the schema's name in the definitions. */
async function catalogOf(client: pg.ClientBase, schema: string, as: string): Promise<Catalog> {
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
  // The column's definition has NOT NULL; since PostgreSQL 18 it is a constraint too.
  const constraints = await query<{ table: string; definition: string }>(
    `SELECT relname::text AS table, 'CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid) AS definition
     FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND contype <> 'n'`,
  )
  const indexes = await query<{ table: string; name: string; sql: string }>(
    `SELECT tables.relname::text AS table, indexes.relname::text AS name, pg_get_indexdef(indexrelid) AS sql
     FROM pg_index JOIN pg_class tables ON tables.oid = indrelid JOIN pg_class indexes ON indexes.oid = indexrelid
     WHERE tables.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND NOT indisprimary`,
  )
  // A trigger that is disabled or runs another function counts as different.
  const triggers = await query<{ table: string; name: string; sql: string; function: string; enabled: string }>(
    `SELECT relname::text AS table, tgname::text AS name, pg_get_triggerdef(pg_trigger.oid) AS sql,
       pg_get_functiondef(tgfoid) AS function, tgenabled::text AS enabled
     FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND NOT tgisinternal
       AND tgname <> relname || '_standby'`,
  )
  // The catalog calls a session's own temporary schema pg_temp; functions name it as it is.
  const renamed = (sql: string): string => sql.replaceAll('pg_temp.', `${as}.`).replaceAll(`${schema}.`, `${as}.`)
  const additions = [
    ...indexes.map((row) => {
      const sql = renamed(row.sql)
      const what = sql.replaceAll(`${as}.`, '')
      return { ...row, kind: 'index', what, definition: sql, sql: [sql] } as const
    }),
    ...triggers.map((row) => {
      const sql = [row.function, row.sql].map(renamed)
      const definition = [...sql, row.enabled].join(';')
      return { ...row, kind: 'trigger', what: `trigger ${row.name}`, definition, sql } as const
    }),
  ]
  const of = <R extends { table: string }>(rows: readonly R[], name: string): R[] =>
    rows.filter(({ table }) => table === name)
  return {
    tables: new Map(
      tables.map(({ name }): [string, TableParts] => {
        const own = of(columns, name)
        const parts = [...own, ...of(constraints, name)].map(({ definition }) => definition)
        const added = of(additions, name).map(({ name: key, kind, what, definition, sql }): [string, Addition] => [
          key,
          { kind, what, definition, sql },
        ])
        return [name, { columns: own.map((column) => column.name), parts: new Set(parts), additions: new Map(added) }]
      }),
    ),
  }
}
