/** Reads the SQLite file that is moved, while other programs write to it. */
import { isUtf8 } from 'node:buffer'
import type Sqlite from 'better-sqlite3'
import { changesAfter } from '../../database/sqlite/change-log.ts'
import { StorageError } from '../../errors.ts'
import { problemsOf } from '../../rows/compatibility.ts'
import { type DatabaseTables, tableIn } from '../../rows/own-tables.ts'
import { nextLimit, SLICE_ROWS } from '../../rows/source.ts'
import { rowsOf } from '../../rows/sqlite-source.ts'
import { keyCell, type Plain, plainCells } from '../../schema/cells.ts'
import { quotedName as quoted } from '../../schema/described.ts'
import { shown } from '../../schema/rules.ts'
import type { Table } from '../../schema/tables.ts'
import { parentsOf } from './parents.ts'

/** Changes of a table's rows that the target has to apply. */
export interface TableChange {
  readonly table: Table
  readonly rows: readonly (readonly Plain[])[]
  readonly deleted: readonly string[]
}

/** Changes in the order of the tables, a parent first. */
export interface Changes {
  readonly changed: readonly TableChange[]
  /** Rows that others of `changed` refer to: the target may not have them yet. */
  readonly parents: readonly TableChange[]
}

export interface ChangeBatch extends Changes {
  /** Number of the log's entries. */
  readonly count: number
  readonly position: string
}

/** Reads as of one moment: foreign keys and unique values hold among the rows. */
export function atOneMoment<T>(raw: Sqlite.Database, read: () => T): T {
  if (raw.inTransaction) return read()
  raw.exec('BEGIN')
  try {
    return read()
  } finally {
    raw.exec('COMMIT')
  }
}

/** The rows that the log says changed after a position, in their current state. Several changes of one row give one entry. */
export function followed(raw: Sqlite.Database, known: DatabaseTables, from: string, limit: number): ChangeBatch {
  const page = changesAfter(raw, from, limit)
  if (page === undefined) throw logLost()
  const { changes: entries, position } = page
  const keys = new Map<Table, Set<string>>(known.tables.map((table) => [table, new Set()]))
  for (const { table: name, key, operation } of entries) {
    const table = tableIn(known.tables, name)
    // The cutover carries over the invalidations.
    if (operation === 'invalidate' || table === undefined) continue
    if (typeof key === 'string') keys.get(table)?.add(key)
    else assertSoundKeys(raw, table)
  }
  const changes = Array.from(keys, ([table, changed]) => currentOf(raw, table, [...changed]))
  return {
    ...withParents(raw, known, changes),
    count: entries.length,
    position,
  }
}

function withParents(raw: Sqlite.Database, known: DatabaseTables, changes: readonly TableChange[]): Changes {
  const changed = changes.filter(({ rows, deleted }) => rows.length + deleted.length > 0)
  if (known.foreignKeys.length === 0) return { changed, parents: [] }
  const rows = new Map(
    changed.map(({ table, rows }) => [table, new Set(rows.map((row) => String(keyCell(table, row))))]),
  )
  const parents = Array.from(parentsOf(raw, known, rows), ([table, keys]) => currentOf(raw, table, [...keys]))
  return { changed, parents: parents.filter((each) => each.rows.length > 0) }
}

/** Changes of one moment. */
export function joined({ tables }: DatabaseTables, one: Changes, other: Changes): Changes {
  const all = [...one.changed, ...other.changed]
  const changed = tables.map((table) => ({
    table,
    rows: [...rowsIn(all, table).values()],
    deleted: [...new Set(all.flatMap((each) => (each.table === table ? each.deleted : [])))],
  }))
  const parents = changed.map(({ table, rows }) => {
    const found = rowsIn([...one.parents, ...other.parents], table)
    for (const row of rows) found.delete(keyCell(table, row))
    return { table, rows: [...found.values()], deleted: [] }
  })
  return { changed, parents }
}

const rowsIn = (changes: readonly TableChange[], table: Table): Map<unknown, readonly Plain[]> =>
  new Map(changes.flatMap((each) => (each.table === table ? each.rows : [])).map((row) => [keyCell(table, row), row]))

/** The log no longer has all changes. */
export const logLost = (): StorageError =>
  new StorageError(
    'CHANGES_MISSED',
    'The log of the writes during the move was not kept for long enough. Nothing was switched. Run meshstore move --resume, which copies anew.',
  )

export function currentOf(raw: Sqlite.Database, table: Table, keys: readonly string[]): TableChange {
  // Invalid UTF-8 reads as U+FFFD, which valid keys may contain too.
  if (keys.some((key) => key.includes('\ufffd'))) assertSoundKeys(raw, table)
  const rows = keys.length === 0 ? [] : movable(table, rowsOf(raw, table, { keys }))
  const found = new Set(rows.map((row) => keyCell(table, row)))
  return { table, rows, deleted: keys.filter((key) => !found.has(key)) }
}

/** Throws CORRUPT if a row has a key of invalid UTF-8, which the log cannot name. Reads all keys; rarely needed. */
function assertSoundKeys(raw: Sqlite.Database, table: Table): void {
  const key = quoted(table.key.name)
  const keys = raw
    .prepare<[], [string, Buffer]>(`SELECT typeof(${key}), CAST(${key} AS BLOB) FROM ${quoted(table.name)}`)
    .raw()
  for (const [type, bytes] of keys.iterate()) {
    if (type !== 'text') throw unmovable(table, 'has a key that is no text')
    if (!isUtf8(bytes)) throw unmovable(table, 'has a key that is no UTF-8')
  }
}

export interface Chunk extends Changes {
  readonly rows: number
  readonly last: string | undefined
  readonly more: boolean
  /** Rows of the next chunk, by the size of this one. */
  readonly limit: number
}

export function chunkAfter(
  raw: Sqlite.Database,
  known: DatabaseTables,
  table: Table,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Chunk {
  const cells = rowsOf(raw, table, { after, limit })
  const rows = movable(table, cells)
  const last = keyCell(table, rows.at(-1) ?? [])
  const more = cells.length === limit
  return {
    ...withParents(raw, known, [{ table, rows, deleted: [] }]),
    rows: rows.length,
    last: last === undefined ? undefined : String(last),
    more,
    limit: nextLimit(cells, 5 * SLICE_ROWS),
  }
}

/** Throws CORRUPT for a row that the target cannot hold: another program wrote it after the preflight check. */
export function assertMovable(table: Table, cells: readonly (readonly unknown[])[]): void {
  for (const row of cells) {
    const [problem] = problemsOf(table, row, 'postgresql')
    if (problem !== undefined)
      throw unmovable(table, `${shown(String(keyCell(table, row)))}: ${problem.column} ${problem.message}`)
  }
}

function movable(table: Table, cells: readonly (readonly unknown[])[]): Plain[][] {
  assertMovable(table, cells)
  return cells.map((row) => plainCells(table, row))
}

const unmovable = (table: Table, what: string): StorageError =>
  new StorageError(
    'CORRUPT',
    `A row cannot live in PostgreSQL: ${table.name} ${what}. Nothing was switched. Correct or delete it, then go on with the move.`,
  )
