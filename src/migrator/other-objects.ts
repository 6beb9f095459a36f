/** Indexes, triggers and views of other programs that rebuilding a table would lose. */
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../errors.ts'
import type { Migration } from './migrations.ts'
import { withFresh } from './sqlite-drift.ts'

interface SchemaObject {
  readonly type: 'index' | 'trigger' | 'view'
  readonly name: string
  readonly table: string
  readonly sql: string
}

/**
 * Runs a migration inside a transaction. If the migration rebuilds a table, other programs' indexes on that table are
 * recreated; their views and triggers are refused with SCHEMA_MISMATCH. `applied`: the migrations that made our tables.
 */
export function keepOtherObjects(
  raw: Sqlite.Database,
  applied: readonly Migration[],
  next: Migration,
  run: () => void,
): void {
  const rebuilt = next.statements.flatMap((sql) => /^\s*DROP TABLE [`"]?(\w+)/i.exec(sql)?.[1] ?? [])
  if (rebuilt.length === 0) {
    run()
    return
  }
  const ours = withFresh(applied, (fresh) => new Set(objectsIn(fresh).map(({ name }) => name)))
  const names = new RegExp(`\\b(${rebuilt.join('|')})\\b`, 'i')
  const others = objectsIn(raw).filter(({ name, sql }) => !ours.has(name) && names.test(sql))
  const inTheWay = others.filter(({ type }) => type !== 'index')
  if (inTheWay.length > 0) throw refused(rebuilt, inTheWay)
  run()
  for (const { table, sql } of others) if (rebuilt.includes(table)) raw.exec(sql)
}

const refused = (tables: readonly string[], objects: readonly SchemaObject[]): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    `The migration builds ${tables.join(', ')} anew, and views or triggers of other programs name it. Nothing was changed. They are: ${objects.map(({ type, name }) => `${type} ${name}`).join(', ')}. Drop them, migrate, and create them again.`,
  )

/** In the order of creation. */
const objectsIn = (raw: Sqlite.Database): SchemaObject[] =>
  raw
    .prepare<[], SchemaObject>(
      `SELECT type, name, lower(tbl_name) AS "table", sql FROM sqlite_schema
       WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL ORDER BY rowid`,
    )
    .all()
