import Sqlite from 'better-sqlite3'
import { IS_FENCE } from '../database/sqlite/fence.ts'
import { type Catalog, type Drift, driftOf, type TableParts } from './drift.ts'
import type { Migration } from './migrations.ts'

/** Compares the tables with what the applied migrations make in a new database. */
export function sqliteDrift(raw: Sqlite.Database, applied: readonly Migration[]): Drift {
  const fresh = new Sqlite(':memory:')
  try {
    for (const { statements } of applied) for (const statement of statements) fresh.exec(statement)
    return driftOf(catalogOf(fresh), catalogOf(raw))
  } finally {
    fresh.close()
  }
}

interface SchemaRow {
  readonly type: string
  readonly name: string
  readonly tbl_name: string
  readonly sql: string
}

function catalogOf(raw: Sqlite.Database): Catalog {
  const rows = raw
    .prepare<[], SchemaRow>(
      `SELECT type, name, tbl_name, sql FROM sqlite_schema
       WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> '__drizzle_migrations'
         AND NOT (${IS_FENCE})`,
    )
    .all()
  const tables = rows
    .filter(({ type }) => type === 'table')
    .map(({ name, sql }): [string, TableParts] => {
      const own = rows.filter(({ type, tbl_name }) => tbl_name === name && (type === 'index' || type === 'trigger'))
      const additions = own.map((row): [string, string] => [
        row.name,
        row.type === 'index' ? normalised(row.sql) : `trigger ${row.name}`,
      ])
      return [name, { columns: columnsOf(raw, name), parts: new Set(partsOf(sql)), additions: new Map(additions) }]
    })
  return { tables: new Map(tables) }
}

const columnsOf = (raw: Sqlite.Database, table: string): string[] =>
  raw.prepare<[string], string>('SELECT name FROM pragma_table_xinfo(?) ORDER BY cid').pluck().all(table)

/** Quotes and blanks that mean nothing: SQLite keeps the text as it was typed. */
const normalised = (sql: string): string =>
  sql
    .replaceAll(/[`"[\]]/g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?([(),]) ?/g, '$1')
    .trim()

/** What stands between the commas of a CREATE TABLE, outside of inner parentheses and of texts. */
function partsOf(sql: string): string[] {
  const text = normalised(sql)
  const body = text.slice(text.indexOf('(') + 1)
  const parts: string[] = []
  let part = ''
  let depth = 0
  let quoted = false
  for (const char of body) {
    if (char === "'") quoted = !quoted
    if (!quoted && char === '(') depth++
    if (!quoted && char === ')') depth--
    if (depth < 0 || (char === ',' && depth === 0 && !quoted)) {
      parts.push(part)
      part = ''
      if (depth < 0) depth = 0
    } else part += char
  }
  // What follows the last parenthesis: STRICT, WITHOUT ROWID.
  return [...parts, part].map((each) => each.trim()).filter((each) => each !== '')
}
