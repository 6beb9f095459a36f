/** Builds tables anew in a SQLite file, since it cannot change a table's constraints. */
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../errors.ts'

export interface Rebuilding {
  readonly name: string
  /** The SQL of each column's value, from the table of before, which is called `old`. */
  readonly values: Readonly<Record<string, string>>
  /** In SQL, of a row of `old`. */
  readonly isKept?: string
}

/**
 * Inside a transaction, with foreign keys off. Rows keep their rowids, views and foreign keys of others stay as they are;
 * indexes and triggers on the tables are gone. `create` makes the tables.
 */
export function rebuild(raw: Sqlite.Database, tables: readonly Rebuilding[], create: () => void): void {
  for (const { name } of tables) for (const index of indexesOn(raw, name)) raw.exec(`DROP INDEX ${quoted(index.name)}`)
  // Other tables' foreign keys, and views, go on speaking of `nodes`: they are not rewritten with the new name.
  raw.pragma('legacy_alter_table = ON')
  for (const { name } of tables) raw.exec(`ALTER TABLE ${name} RENAME TO ${formerName(name)}`)
  raw.pragma('legacy_alter_table = OFF')
  create()
  for (const table of tables) {
    copy(raw, table)
    raw.exec(`DROP TABLE ${formerName(table.name)}`)
  }
}

export const formerName = (table: string): string => `meshstore_former_${table}`

function copy(raw: Sqlite.Database, { name, values, isKept = 'true' }: Rebuilding): void {
  const columns = Object.keys(values)
  const from = `FROM ${formerName(name)} AS old`
  raw.exec(
    `INSERT INTO main.${name} (rowid, ${columns.join(', ')})
     SELECT old.rowid, ${Object.values(values).join(', ')} ${from} WHERE ${isKept}`,
  )
  const equal = Object.entries(values).map(([column, value]) => `new.${column} IS ${value}`)
  const isWhole = raw
    .prepare(
      `SELECT (SELECT count(*) ${from} WHERE ${isKept}) =
         (SELECT count(*) ${from} JOIN main.${name} AS new ON new.rowid = old.rowid WHERE ${equal.join(' AND ')})`,
    )
    .pluck()
    .get()
  if (isWhole !== 1) throw new StorageError('CORRUPT', `Not every row of ${name} could be copied.`)
}

export interface Index {
  readonly name: string
  readonly sql: string
}

/** Indexes that a statement made, ours and others'. */
export const indexesOn = (raw: Sqlite.Database, table: string): Index[] =>
  raw
    .prepare<[string], Index>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND lower(tbl_name) = ?",
    )
    .all(table)

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
