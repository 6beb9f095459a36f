/** Compares the catalog of a file that another program made with the client's DDL. */
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../errors.ts'
import * as rules from '../schema/rules.ts'
import { SHARED, type SharedTable } from './adoption-rows.ts'
import { hasTable, originOf } from './sqlite-file.ts'
import { formerName, type Index, indexesOn } from './sqlite-rebuild.ts'

/** The client's tables in the file. Throws SCHEMA_MISMATCH if a table differs from the client's DDL. */
export function recognizedTables(raw: Sqlite.Database): readonly SharedTable[] {
  if (originOf(raw) === 'library') {
    throw new StorageError(
      'SCHEMA_MISMATCH',
      'The file has the tables of this package, and no record of the migrations that made them. Nothing was changed. Run meshstore migrate adopt, which compares and records them.',
    )
  }
  const tables = SHARED.filter(({ name }) => hasTable(raw, name))
  const encoding = String(raw.pragma('encoding', { simple: true }))
  const obstacles = [
    // Another encoding sorts keys by other bytes.
    ...(encoding === 'UTF-8' ? [] : [`the file is in ${encoding}`]),
    ...tables.flatMap((table) => obstaclesOf(raw, table)),
  ]
  if (obstacles.length === 0) return tables
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `Another program made the file, and its tables cannot be adopted: ${obstacles.join('; ')}. Nothing was changed. Use another file, or correct its tables.`,
  )
}

interface ColumnInfo {
  readonly name: string
  readonly type: string
  readonly pk: number
  readonly hidden: number
}

function obstaclesOf(raw: Sqlite.Database, { name, columns }: SharedTable): string[] {
  const { type, sql } = tableNamed(raw, name)
  if (type !== 'table') return [`${name} is a ${type}`]
  if (hasTable(raw, formerName(name))) return [`there is a table ${formerName(name)}`]
  const found = raw.pragma(`table_xinfo(${name})`) as ColumnInfo[]
  const expected = Object.keys(columns)
  const names = found.map((column) => column.name)
  const extra = names.filter((column) => !expected.includes(column))
  const missing = expected.filter((column) => !names.includes(column))
  const obstacles = [
    ...extra.map((column) => `${name} has the column ${rules.shown(column)}, which is not ours`),
    ...missing.map((column) => `${name} has no column ${column}`),
  ]
  if (obstacles.length > 0) return obstacles
  if (names.join() !== expected.join()) return [`${name} has its columns in another order`]
  for (const [position, column] of found.entries()) {
    if (!columns[column.name]?.includes(column.type.toUpperCase()))
      obstacles.push(`${name}.${column.name} is declared ${rules.shown(column.type) || 'without a type'}`)
    if (column.pk !== (position === 0 ? 1 : 0)) obstacles.push(`${name} has another primary key`)
    if (column.hidden !== 0) obstacles.push(`${name}.${column.name} is generated`)
  }
  const [list] = raw.pragma(`table_list(${name})`) as { wr: number; strict: number }[]
  if (list?.wr === 1) obstacles.push(`${name} is WITHOUT ROWID`)
  if (list?.strict === 1) obstacles.push(`${name} is STRICT`)
  const [, own] = /\b(CHECK|COLLATE)\b/i.exec(withoutComments(sql)) ?? []
  if (own !== undefined) obstacles.push(`${name} has a ${own.toUpperCase()} of its own`)
  if ((raw.pragma(`foreign_key_list(${name})`) as unknown[]).length > 0) obstacles.push(`${name} has a foreign key`)
  if ((raw.pragma(`index_list(${name})`) as { origin: string }[]).some(({ origin }) => origin === 'u'))
    obstacles.push(`${name} has a UNIQUE constraint`)
  const triggers = raw
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = ?")
    .pluck()
    .all(name)
  return [...obstacles, ...triggers.map((trigger) => `${name} has the trigger ${rules.shown(String(trigger))}`)]
}

const tableNamed = (raw: Sqlite.Database, name: string): { type: string; sql: string } =>
  raw
    .prepare<[string], { type: string; sql: string }>(
      "SELECT type, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = ?",
    )
    .get(name) ?? { type: 'table', sql: '' }

const withoutComments = (sql: string): string => sql.replaceAll(/--[^\n]*|\/\*.*?\*\//gs, ' ')

const OUR_INDEXES = ['idx_nodes_started', 'idx_cache_expires', 'idx_cache_source_dest']

/** Indexes of other programs: adoption recreates them. */
export const indexesOf = (raw: Sqlite.Database, tables: readonly SharedTable[]): Index[] =>
  tables.flatMap((table) => indexesOn(raw, table.name)).filter(({ name }) => !OUR_INDEXES.includes(name))
