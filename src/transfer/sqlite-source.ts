import { isUtf8 } from 'node:buffer'
import type Sqlite from 'better-sqlite3'
import { configOf } from '../config.ts'
import { translated } from '../database/sqlite/errors.ts'
import { openSqlite } from '../database/sqlite/open.ts'
import { schemaVersionOf } from '../migrator/sqlite-migrator.ts'
import { BrokenText } from './rows.ts'
import { SLICE_BYTES, SLICE_ROWS, type Snapshot, type SourceOptions, sizeOf } from './source.ts'
import { columnsOf, keyColumn, type TableName } from './tables.ts'

/** One moment of a file, while others read and write. Throws StorageErrors. */
export async function withSqliteSnapshot<T>(
  path: string,
  options: SourceOptions,
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const config = configOf({ url: path, readOnly: true, migrate: 'check', ...options })
  const database = await openSqlite(path, config)
  try {
    return await database.withSnapshot(({ raw }) => work(snapshotOf(raw)))
  } catch (error) {
    throw translated(error)
  } finally {
    await database.close()
  }
}

const snapshotOf = (raw: Sqlite.Database): Snapshot => ({
  schemaVersion: schemaVersionOf(raw),
  count: async (table) => Number(raw.prepare(`SELECT count(*) FROM ${table}`).pluck().get()),
  slices: (table) => slicesOf(raw, table),
})

/** One statement steps through the table: the connection is nobody else's, and the snapshot is pinned anyway. */
async function* slicesOf(raw: Sqlite.Database, table: TableName): AsyncGenerator<unknown[][]> {
  const columns = columnsOf(table).map(({ name }) => name)
  const select = raw.prepare<[], unknown[]>(
    `SELECT rowid, ${columns.join(', ')} FROM ${table} ORDER BY ${keyColumn(table)}`,
  )
  const bytesOf = bytesReader(raw, table, columns)
  let slice: unknown[][] = []
  let size = 0
  for (const [rowid, ...cells] of select.raw().iterate()) {
    const row = cells.map((cell, index) =>
      mayBeBroken(cell) && !isUtf8(bytesOf(rowid, index)) ? new BrokenText() : cell,
    )
    slice.push(row)
    size += sizeOf(row)
    if (slice.length < SLICE_ROWS && size < SLICE_BYTES) continue
    yield slice
    slice = []
    size = 0
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (slice.length > 0) yield slice
}

/** The driver puts this character in place of what is no UTF-8. */
const mayBeBroken = (cell: unknown): cell is string => typeof cell === 'string' && cell.includes('\ufffd')

function bytesReader(raw: Sqlite.Database, table: TableName, columns: readonly string[]) {
  const cells = columns.map((name) => `CAST(${name} AS BLOB)`)
  const select = raw.prepare<[unknown], Buffer[]>(`SELECT ${cells.join(', ')} FROM ${table} WHERE rowid = ?`).raw()
  return (rowid: unknown, column: number): Buffer => select.get(rowid)?.[column] ?? Buffer.alloc(0)
}
