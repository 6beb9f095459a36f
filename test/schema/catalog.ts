import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'

/** SQLite's migrations, in order. */
export function migrationsIn(root: string): string[] {
  const folder = join(root, 'migrations/sqlite')
  const { entries } = JSON.parse(readFileSync(join(folder, 'meta/_journal.json'), 'utf8'))
  return entries.map(({ tag }: { tag: string }) => readFileSync(join(folder, `${tag}.sql`), 'utf8'))
}

export function databaseOf(...scripts: string[]): Database.Database {
  const db = new Database(':memory:')
  for (const sql of scripts) db.exec(sql)
  return db
}

/**
 * The objects of a SQLite database, by name. The parts of a table are sorted, and quotes alike: a migration that adds
 * a column or builds a table anew writes them in another order and style than a fresh schema. Without the triggers, of which
 * Drizzle knows nothing, and without SQLite's own tables.
 */
export function catalog(db: Database.Database): Record<string, string[]> {
  const rows = db
    .prepare<[], { name: string; sql: string }>(
      `SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND type <> 'trigger' AND name NOT LIKE 'sqlite_%' ORDER BY name`,
    )
    .all()
  return Object.fromEntries(rows.map(({ name, sql }) => [name, parts(sql)]))
}

/** The triggers as they are written, by name. */
export const triggers = (db: Database.Database): Record<string, string> =>
  Object.fromEntries(
    db
      .prepare<[], [string, string]>("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")
      .raw()
      .all(),
  )

/** Splits at the commas that stand between the outermost parentheses. */
function parts(sql: string): string[] {
  const text = sql.replaceAll('`', '"').replace(/\s+/g, ' ')
  const start = text.indexOf('(')
  const found: string[] = [text.slice(0, start).trim().replaceAll('"', '')]
  let depth = 0
  let part = ''
  for (const char of text.slice(start)) {
    if (char === '(') depth++
    if (char === ')') depth--
    if ((char === ',' && depth === 1) || (char === ')' && depth === 0)) {
      found.push(part.slice(part.startsWith('(') ? 1 : 0).trim())
      part = ''
    } else part += char
  }
  return found.sort()
}
