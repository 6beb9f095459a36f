import Sqlite from 'better-sqlite3'
import { IS_FENCE } from '../database/sqlite/fence.ts'
import { type Addition, type Catalog, type Drift, driftOf, type TableParts } from './drift.ts'
import type { Migration } from './migrations.ts'
import { normalised } from './sqlite-file.ts'

/** Compares the tables with those that the applied migrations make in a new database. */
export const sqliteDrift = (raw: Sqlite.Database, applied: readonly Migration[]): Drift =>
  withFresh(applied, (fresh) => driftOf(catalogOf(fresh), catalogOf(raw)))

/** A new database as the migrations make it. */
export function withFresh<T>(applied: readonly Migration[], use: (fresh: Sqlite.Database) => T): T {
  const fresh = new Sqlite(':memory:')
  try {
    for (const { statements } of applied) for (const statement of statements) fresh.exec(statement)
    return use(fresh)
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
      const additions = rows.flatMap((row): [string, Addition][] => {
        if (row.tbl_name !== name || (row.type !== 'index' && row.type !== 'trigger')) return []
        const definition = normalised(row.sql)
        const what = row.type === 'index' ? definition : `trigger ${row.name}`
        return [[row.name, { kind: row.type, what, definition, sql: [row.sql] }]]
      })
      return [name, { columns: columnsOf(raw, name), parts: new Set(partsOf(sql)), additions: new Map(additions) }]
    })
  return { tables: new Map(tables) }
}

const columnsOf = (raw: Sqlite.Database, table: string): string[] =>
  raw.prepare<[string], string>('SELECT name FROM pragma_table_xinfo(?) ORDER BY cid').pluck().all(table)

/** Splits the body of a CREATE TABLE at its commas, outside of inner parentheses and string literals. */
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
  // Table options follow the last parenthesis: STRICT, WITHOUT ROWID.
  return [...parts, part].map((each) => each.trim()).filter((each) => each !== '')
}
