import type pg from 'pg'
import { ALL_TABLES } from '../schema/tables.ts'
import { postgresTriggerNames } from '../schema/triggers.ts'
import { objectsCreatedBy } from './created-objects.ts'
import type { Difference } from './drift.ts'
import type { Migration } from './migrations.ts'
import { expectedOf, missingTrigger } from './missing.ts'

export type Queryable = Pick<pg.PoolClient, 'query'> | Pick<pg.Pool, 'query'>

/** A test compares these with what the migrations make: their names are computed there. */
const TRIGGERS = [
  ...ALL_TABLES.flatMap((table) => postgresTriggerNames(table).map((name) => missingTrigger(table.name, name))),
  ...['insert', 'update'].map((event) => missingTrigger('path_cache', `path_cache_stamp_${event}`)),
  missingTrigger('path_cache_marks', 'path_cache_marks_log'),
]

/** `O` and `A`: the trigger fires for the sessions of applications. */
const FOUND = `WITH ours AS MATERIALIZED (
    SELECT name AS table, to_regclass(name)::oid AS oid FROM unnest($1::text[]) AS name
  )
  SELECT ours.table, 'the table' AS what FROM ours WHERE oid IS NOT NULL
  UNION ALL
  SELECT ours.table, CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'CONSTRAINT ' || conname END
    FROM ours JOIN pg_constraint ON conrelid = ours.oid WHERE contype IN ('p', 'c')
  UNION ALL
  SELECT ours.table, 'trigger ' || tgname FROM ours JOIN pg_trigger ON tgrelid = ours.oid
    WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')`

/** Runs at every open: one query of the catalog, which needs no rights. `applied` made the tables. */
export async function missingInPostgres(on: Queryable, applied: readonly Migration[]): Promise<Difference[]> {
  const created = objectsCreatedBy(applied)
  const { rows } = await on.query<{ table: string; what: string }>(FOUND, [[...created.tables.keys()]])
  const found = new Set(rows.map(({ table, what }) => `${table} ${what}`))
  return [...expectedOf(created), ...TRIGGERS].filter(({ table, what }) => !found.has(`${table} ${what}`))
}
