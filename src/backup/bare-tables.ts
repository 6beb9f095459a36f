/**
 * Own tables in a backup of PostgreSQL: columns and rows alone. The application's migrations of SQLite make indexes, defaults
 * and foreign keys, and are not in a PostgreSQL database: such a file is restored into tables that they have made.
 */
import type Sqlite from 'better-sqlite3'
import { APP_LEDGER, type AppMigration } from '../migrator/app-ledger.ts'
import { hasTable } from '../migrator/sqlite-file.ts'
import { quotedName as quoted, rowOfTable } from '../schema/described.ts'
import { type Kind, kindOf } from '../schema/kinds.ts'
import type { Table } from '../schema/tables.ts'

/** The row of `meshstore_state` that marks such a file. */
const MARK = 'own_tables'

const TYPES: Readonly<Record<Kind['postgres'], string>> = {
  text: 'TEXT',
  jsonb: 'TEXT',
  integer: 'INTEGER',
  boolean: 'INTEGER',
  'double precision': 'REAL',
}

/** Makes the tables from their descriptions. Runs no SQL of the database that is backed up. */
export function makeBareTables(raw: Sqlite.Database, own: readonly Table[], applied: readonly AppMigration[]): void {
  if (own.length === 0) return
  const state = raw.prepare('INSERT INTO meshstore_state (name, value, updated_at) VALUES (?, ?, 0)')
  for (const table of own) {
    const columns = table.columns.map(
      (column) =>
        `${quoted(column.name)} ${TYPES[kindOf(column).postgres]}${column === table.key ? ' PRIMARY KEY' : ''}${column.nullable ? '' : ' NOT NULL'}`,
    )
    raw.exec(`CREATE TABLE ${quoted(table.name)} (${columns.join(', ')})`)
    state.run(...rowOfTable(table))
  }
  state.run(MARK, 'bare')
  raw.exec(`CREATE TABLE ${APP_LEDGER} (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, created_at NUMERIC, name TEXT)`)
  const record = raw.prepare(`INSERT INTO ${APP_LEDGER} (hash, created_at, name) VALUES (?, ?, ?)`)
  for (const { hash, when, name } of applied) record.run(hash, when, name ?? null)
}

export const hasBareTables = (raw: Sqlite.Database): boolean =>
  hasTable(raw, 'meshstore_state') &&
  raw.prepare('SELECT 1 FROM meshstore_state WHERE name = ?').get(MARK) !== undefined
