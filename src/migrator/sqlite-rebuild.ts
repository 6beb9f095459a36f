/** Rebuilds tables of a SQLite file: SQLite cannot change a table's constraints. */
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../errors.ts'
import { quotedName } from '../schema/described.ts'

export interface Rebuilding {
  readonly name: string
  /** The SQL of each column's value. The former table is named `old`. */
  readonly values: Readonly<Record<string, string>>
  /** SQL condition on a row of `old`: the rebuild copies the row. */
  readonly isKept?: string
}

/**
 * Must run inside a transaction, with foreign keys off. Rows keep their rowids; other programs' views and foreign keys
 * stay. Indexes and triggers on the tables are dropped. `create` makes the tables.
 */
export function rebuild(raw: Sqlite.Database, tables: readonly Rebuilding[], create: () => void): void {
  for (const { name } of tables)
    for (const index of indexesOn(raw, name)) raw.exec(`DROP INDEX ${quotedName(index.name)}`)
  // Legacy: foreign keys and views keep the name `nodes`. Otherwise SQLite rewrites them to the former table's name.
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
  if (isWhole !== 1)
    throw new StorageError(
      'CORRUPT',
      `Not every row of ${name} could be copied. Nothing was changed. Run meshstore check, then restore a backup.`,
    )
}

export interface Index {
  readonly name: string
  readonly sql: string
}

/** Indexes that a CREATE INDEX made, ours and other programs'. */
export const indexesOn = (raw: Sqlite.Database, table: string): Index[] =>
  raw
    .prepare<[string], Index>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND lower(tbl_name) = ?",
    )
    .all(table)
