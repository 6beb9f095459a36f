/** The tables of a SQLite file, by what the file says of itself. */
import type Sqlite from 'better-sqlite3'
import { hasTable } from '../migrator/sqlite-file.ts'
import { quotedName, TABLE_ROW, tablesOfRows } from '../schema/described.ts'
import { ALL_TABLES, type Table } from '../schema/tables.ts'
import {
  assertFits,
  type DatabaseTables,
  type FittingTypes,
  type ForeignKey,
  inOrder,
  type Orphan,
  OUR_TABLES_ALONE,
  unlike,
} from './own-tables.ts'

/** SQLite's affinities (https://www.sqlite.org/datatype3.html). */
const TYPES: FittingTypes = {
  text: /char|clob|text/i,
  jsonb: /char|clob|text/i,
  integer: /int/i,
  boolean: /int/i,
  'double precision': /real|floa|doub/i,
}

/** A described table that is not there has no rows, and is left out. Throws SCHEMA_MISMATCH for a bad description. */
export function tablesIn(raw: Sqlite.Database): DatabaseTables {
  const own = describedIn(raw).filter((table) => isTable(raw, table))
  if (own.length === 0) return OUR_TABLES_ALONE
  for (const table of own) assertReal(raw, table)
  return inOrder(
    own,
    own.flatMap((table) => foreignKeysOf(raw, table, [...ALL_TABLES, ...own])),
  )
}

/** The tables that `meshstore_state` describes, whether or not they are there. */
function describedIn(raw: Sqlite.Database): Table[] {
  if (!hasTable(raw, 'meshstore_state')) return []
  const rows = raw
    .prepare<[number, string], [unknown, unknown]>(
      'SELECT name, value FROM meshstore_state WHERE substr(name, 1, ?) = ? ORDER BY name',
    )
    .raw()
    .all(TABLE_ROW.length, TABLE_ROW)
  return tablesOfRows(rows)
}

/** A view, or a virtual table of an extension, is no table that can be written. */
const isTable = (raw: Sqlite.Database, { name }: Table): boolean =>
  raw
    .prepare("SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND lower(name) = lower(?)")
    .get(name) !== undefined

interface Info {
  readonly name: string
  readonly type: string
  readonly pk: number
}

function assertReal(raw: Sqlite.Database, table: Table): void {
  const columns = raw
    .prepare<[string], Info>('SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden = 0')
    .all(table.name)
  assertFits(table, columns, TYPES)
  const isKey =
    columns.filter(({ pk }) => pk > 0).length === 1 && columns.some(({ name, pk }) => pk > 0 && name === table.key.name)
  if (!isKey) throw unlike(table, `has another primary key than ${table.key.name}`)
  if (isWithoutRowid(raw, table)) throw unlike(table, 'is WITHOUT ROWID')
}

const isWithoutRowid = (raw: Sqlite.Database, { name }: Table): boolean =>
  raw
    .prepare("SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?) AND wr = 1")
    .get(name) !== undefined

interface Reference {
  readonly id: number
  readonly parent: string
  readonly from: string
  readonly to: string | null
}

function foreignKeysOf(raw: Sqlite.Database, { name }: Table, tables: readonly Table[]): ForeignKey[] {
  const rows = raw
    .prepare<[string], Reference>(
      'SELECT id, "table" AS parent, "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq',
    )
    .all(name)
  return [...Map.groupBy(rows, ({ id }) => id).values()].flatMap((columns) => {
    const parent = tables.find((table) => table.name.toLowerCase() === columns[0]?.parent.toLowerCase())
    if (parent === undefined) return []
    // Without names of columns it is the parent's key.
    const parentColumns = columns.map(({ to }) => to ?? parent.key.name)
    return [{ table: name, columns: columns.map(({ from }) => from), parent: parent.name, parentColumns }]
  })
}

/** A program that leaves foreign keys off can write such rows. */
export function* orphansIn(raw: Sqlite.Database, { tables, foreignKeys }: DatabaseTables): Generator<Orphan> {
  for (const table of tables) {
    if (!foreignKeys.some((each) => each.table === table.name)) continue
    const select = raw.prepare<[string], [unknown, string]>(
      `SELECT t.${quotedName(table.key.name)}, c.parent FROM pragma_foreign_key_check(?) AS c
       JOIN ${quotedName(table.name)} AS t ON t.rowid = c.rowid`,
    )
    for (const [key, parent] of select.raw().iterate(table.name)) yield { table: table.name, key, parent }
  }
}
