/** What others have put on, or over, our tables: it must outlive a table that is built anew. */
import Sqlite from 'better-sqlite3'
import type { Migration } from './migrations.ts'

interface SchemaObject {
  readonly type: 'index' | 'trigger' | 'view'
  readonly name: string
  readonly sql: string
}

/**
 * Runs a migration without the views and triggers of others, which would stop a table from being renamed, and makes them and
 * their indexes again afterwards, where they are gone. Inside a transaction. `applied`: what has made our own.
 */
export function keepingOthers(raw: Sqlite.Database, applied: readonly Migration[], run: () => void): void {
  const ours = namesMadeBy(applied)
  const others = objectsIn(raw).filter(({ name }) => !ours.has(name))
  for (const { type, name } of others) if (type !== 'index') raw.exec(`DROP ${type} IF EXISTS ${quoted(name)}`)
  run()
  const there = new Set(objectsIn(raw).map(({ name }) => name))
  for (const { name, sql } of others) if (!there.has(name)) raw.exec(sql)
}

function namesMadeBy(migrations: readonly Migration[]): ReadonlySet<string> {
  const fresh = new Sqlite(':memory:')
  try {
    for (const { statements } of migrations) for (const statement of statements) fresh.exec(statement)
    return new Set(objectsIn(fresh).map(({ name }) => name))
  } finally {
    fresh.close()
  }
}

/** In the order in which they were made. */
const objectsIn = (raw: Sqlite.Database): SchemaObject[] =>
  raw
    .prepare<[], SchemaObject>(
      "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL ORDER BY rowid",
    )
    .all()

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
