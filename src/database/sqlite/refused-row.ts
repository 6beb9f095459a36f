/** Names the row of a write that a foreign key refused: SQLite's error names nothing, and a foreign key has no name there. */
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../../errors.ts'
import type { BoundStatement } from '../statement.ts'
import { isSqliteFailure, translated } from './errors.ts'

/** The translated error with the table and the key of the call. Returns other errors unchanged. */
export function withRefusedRow(error: unknown, bound: BoundStatement<unknown>, raw: Sqlite.Database): unknown {
  if (!isSqliteFailure(error) || error.code !== 'SQLITE_CONSTRAINT_FOREIGNKEY') return error
  const refusal = translated(error, raw.name)
  const row = rowOf(bound, raw)
  if (row === undefined || !(refusal instanceof StorageError)) return refusal
  return new StorageError(refusal.code, `${row}: ${refusal.message}`, { cause: refusal.cause })
}

const TABLE = /^(?:insert into|update|delete from) "([^"]+)"/
const INSERT = /^insert into "[^"]+" \(([^)]+)\) values \(((?:\?|null)(?:, (?:\?|null))*)\)/

/** The table alone for a statement of the application's, or of many rows. */
function rowOf(
  { compiled: { sql, ownTables }, values }: BoundStatement<unknown>,
  raw: Sqlite.Database,
): string | undefined {
  const table = TABLE.exec(sql)?.[1]
  if (table === undefined || ownTables !== undefined) return table
  const key = raw.prepare<[string], string>('SELECT name FROM pragma_table_info(?) WHERE pk = 1').pluck().get(table)
  const value = values[placeOf(sql, `"${key}"`)]
  return typeof value === 'string' ? `${table} ${JSON.stringify(value)}` : table
}

/** The place of the key among the parameters; -1 if the statement does not name one row. */
function placeOf(sql: string, key: string): number {
  const [insert, columns = '', row = ''] = INSERT.exec(sql) ?? []
  const cells = row.split(', ')
  const column = columns.split(', ').indexOf(key)
  if (insert !== undefined) return cells[column] === '?' ? parametersIn(cells.slice(0, column).join()) : -1
  const at = sql.indexOf(`${key} = ?`, sql.indexOf(' where '))
  return at === -1 ? -1 : parametersIn(sql.slice(0, at))
}

const parametersIn = (sql: string): number => sql.split('?').length - 1
