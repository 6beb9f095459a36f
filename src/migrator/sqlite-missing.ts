import type Sqlite from 'better-sqlite3'
import { objectsCreatedBy } from './created-objects.ts'
import type { Difference } from './drift.ts'
import type { Migration } from './migrations.ts'
import { expectedOf, missingTrigger } from './missing.ts'
import { normalised } from './sqlite-file.ts'

/** Runs at every open: one query of the catalog, and no scratch database. `applied` made the tables. */
export function missingInSqlite(raw: Sqlite.Database, applied: readonly Migration[]): Difference[] {
  const created = objectsCreatedBy(applied)
  const found = new Map(
    raw
      .prepare<[], [string, string]>(
        "SELECT type || ' ' || lower(name), sql FROM sqlite_schema WHERE type IN ('table', 'trigger')",
      )
      .raw()
      .all(),
  )
  const triggers = [...created.triggers].filter(([name, { sql }]) => !isSame(found.get(`trigger ${name}`), sql))
  return [
    ...expectedOf(created).filter((part) => !isIn(found.get(`table ${part.table}`), part)),
    ...triggers.map(([name, { table }]) => missingTrigger(table, name)),
  ]
}

function isIn(sql: string | undefined, { part, what }: Difference): boolean {
  if (sql === undefined) return false
  // Accepts the migrations' spelling and handwritten spellings.
  const typed = what.replace(/^CONSTRAINT (.*)/, 'CONSTRAINT "$1"')
  return part === 'table' || sql.includes(typed) || new RegExp(`\\b${what.replace(' ', '\\s+[`[]?')}\\b`, 'i').test(sql)
}

const isSame = (found: string | undefined, sql: string): boolean =>
  found === sql || (found !== undefined && normalised(found) === normalised(sql))
