import { isUtf8 } from 'node:buffer'
import type Sqlite from 'better-sqlite3'
import type { OtherData } from '../api.ts'
import { isSqliteFailure } from '../database/sqlite/errors.ts'
import { IS_VALID } from '../database/sqlite/invalidations.ts'
import { StorageError } from '../errors.ts'
import { nextTurn } from '../event-loop.ts'
import { appMigrationsIn } from '../migrator/app-ledger.ts'
import { schemaVersionOf } from '../migrator/sqlite-migrator.ts'
import { BrokenText, type Cell, type StoredRow } from '../schema/cells.ts'
import { quotedName as quoted } from '../schema/described.ts'
import type { Table } from '../schema/tables.ts'
import { isKnown, withRows } from './other-data.ts'
import { SLICE_BYTES, SLICE_ROWS, type Snapshot, sizeOf } from './source.ts'
import { orphansIn, tablesIn } from './sqlite-tables.ts'

interface SnapshotOptions {
  /** Includes invalidated cached paths. */
  readonly asStored?: boolean
  /** Ends `slices`. */
  readonly ended?: AbortSignal
}

/** Snapshot of a connection with an open transaction. */
export const snapshotOf = (raw: Sqlite.Database, { asStored = false, ended }: SnapshotOptions = {}): Snapshot => ({
  schemaVersion: schemaVersionOf(raw),
  tables: async () => tablesIn(raw),
  appMigrations: async () => appMigrationsIn(raw),
  count: async (table) =>
    Number(
      raw
        .prepare(`SELECT count(*) FROM ${quoted(table.name)} WHERE ${asStored ? 'true' : valid(raw, table)}`)
        .pluck()
        .get(),
    ),
  slices: (table, after) => slicesOf(raw, table, { condition: asStored ? 'true' : valid(raw, table), after }, ended),
  orphans: (tables) => orphansIn(raw, tables),
  stored: (table, cells) => storedRow(raw, table, cells.at(-1)),
  others: async () => othersIn(raw),
})

/** Leaves out invalidated cached paths that are not yet swept. Older schemas have no invalidations. */
function valid(raw: Sqlite.Database, table: Table): string {
  if (table.name !== 'path_cache') return 'true'
  const hasMarks = raw.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'path_cache_stamps'").get() !== undefined
  return hasMarks ? IS_VALID : 'true'
}

const selectFrom = ({ name, columns }: Table): string =>
  `SELECT ${columns.map((column) => quoted(column.name)).join(', ')}, rowid FROM ${quoted(name)}`

/** Keys in the order of their bytes. */
const keyOf = ({ key }: Table): string => `${quoted(key.name)} COLLATE BINARY`

/** Steps one statement through the table: the connection is not shared, and its snapshot is pinned anyway. */
async function* slicesOf(
  raw: Sqlite.Database,
  table: Table,
  { condition, after }: { readonly condition: string; readonly after: string | undefined },
  ended?: AbortSignal,
): AsyncGenerator<unknown[][]> {
  const key = keyOf(table)
  const isAfter = after === undefined ? '' : ` AND ${key} > ?`
  const select = raw.prepare<unknown[], unknown[]>(`${selectFrom(table)} WHERE ${condition}${isAfter} ORDER BY ${key}`)
  const markBroken = brokenMarker(raw, table)
  let slice: unknown[][] = []
  let size = 0
  for (const row of select.raw().iterate(...(after === undefined ? [] : [after]))) {
    slice.push(markBroken(row))
    size += sizeOf(row)
    if (slice.length < SLICE_ROWS && size < SLICE_BYTES) continue
    yield slice
    slice = []
    size = 0
    await nextTurn()
    ended?.throwIfAborted()
  }
  if (slice.length > 0) yield slice
}

/** Up to a number of rows after a key, or the rows with the given keys; in the order of the keys. */
export function rowsOf(
  raw: Sqlite.Database,
  table: Table,
  which: { readonly after: string | undefined; readonly limit: number } | { readonly keys: readonly string[] },
): unknown[][] {
  const key = keyOf(table)
  const [condition, ...values] =
    'keys' in which
      ? [`${key} IN (SELECT value FROM json_each(?)) ORDER BY ${key}`, JSON.stringify(which.keys)]
      : which.after === undefined
        ? [`true ORDER BY ${key} LIMIT ?`, which.limit]
        : [`${key} > ? ORDER BY ${key} LIMIT ?`, which.after, which.limit]
  return raw
    .prepare<unknown[], unknown[]>(`${selectFrom(table)} WHERE ${condition}`)
    .raw()
    .all(...values)
    .map(brokenMarker(raw, table))
}

/** Replaces invalid UTF-8 by a `BrokenText`. */
function brokenMarker(raw: Sqlite.Database, table: Table): (row: unknown[]) => unknown[] {
  // Nearly no table has such a text.
  let select: Sqlite.Statement<[unknown], Buffer[]> | undefined
  const prepared = (): Sqlite.Statement<[unknown], Buffer[]> => {
    const cells = table.columns.map(({ name }) => `CAST(${quoted(name)} AS BLOB)`)
    return raw
      .prepare<[unknown], Buffer[]>(`SELECT ${cells.join(', ')} FROM ${quoted(table.name)} WHERE rowid = ?`)
      .raw()
  }
  return (row) => {
    for (let index = 0; index < row.length; index++) {
      if (!mayBeBroken(row[index])) continue
      select ??= prepared()
      const bytes = select.get(row.at(-1))?.[index]
      if (bytes !== undefined && !isUtf8(bytes)) row[index] = new BrokenText(bytes)
    }
    return row
  }
}

/** The driver's replacement character for invalid UTF-8. */
const mayBeBroken = (cell: unknown): cell is string => typeof cell === 'string' && cell.includes('\ufffd')

/** Reads integers with 64 bits, and invalid UTF-8 as bytes. */
function storedRow(raw: Sqlite.Database, table: Table, rowid: unknown): StoredRow {
  const columns = table.columns.map(({ name }) => name)
  const cells = columns.map(
    (name) => `${quoted(name)}, CASE typeof(${quoted(name)}) WHEN 'text' THEN CAST(${quoted(name)} AS BLOB) END`,
  )
  const select = raw.prepare<[unknown], Cell[]>(
    `SELECT rowid, ${cells.join(', ')} FROM ${quoted(table.name)} WHERE rowid = ?`,
  )
  const [id, ...found] = select.raw().safeIntegers().get(rowid) ?? []
  if (typeof id !== 'bigint')
    throw new StorageError(
      'CORRUPT',
      `A row of ${table.name} is not found by its number. Nothing was changed. Run meshstore check.`,
    )
  const entries = columns.map((name, index): [string, Cell] => {
    const [cell = null, bytes] = [found[2 * index], found[2 * index + 1]]
    return [name, Buffer.isBuffer(bytes) && !isUtf8(bytes) ? new BrokenText(bytes) : cell]
  })
  return { rowid: id, row: Object.fromEntries(entries) }
}

/** A virtual table's own tables are its rows. Generated columns hold nothing of their own. */
function othersIn(raw: Sqlite.Database): OtherData[] {
  const found: OtherData[] = []
  const { tables } = tablesIn(raw)
  for (const { schema, name, type } of raw.pragma('table_list') as { schema: string; name: string; type: string }[]) {
    if (schema !== 'main' || (type !== 'table' && type !== 'virtual')) continue
    const ours = tables.find((table) => table.name.toLowerCase() === name.toLowerCase())
    if (ours !== undefined) {
      const columns = raw.prepare<[string], string>('SELECT name FROM pragma_table_info(?)').pluck().all(name)
      for (const column of columns)
        if (!ours.columns.some((known) => known.name.toLowerCase() === column.toLowerCase()))
          found.push({ table: ours.name, column, rows: countOf(raw, name, `count(${quoted(column)})`) })
    } else if (!isKnown(name)) found.push({ table: name, rows: countOf(raw, name, 'count(*)') })
  }
  return withRows(found)
}

/** `undefined`: a virtual table whose extension is not loaded. */
function countOf(raw: Sqlite.Database, table: string, what: string): number | undefined {
  try {
    return raw
      .prepare<[], number>(`SELECT ${what} FROM ${quoted(table)}`)
      .pluck()
      .get()
  } catch (error) {
    if (isSqliteFailure(error) && error.code === 'SQLITE_ERROR') return undefined
    throw error
  }
}
