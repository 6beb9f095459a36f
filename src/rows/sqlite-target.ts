import type Sqlite from 'better-sqlite3'
import { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { translated, translatedCommit } from '../database/sqlite/errors.ts'
import { prepareFile } from '../database/sqlite/file.ts'
import { openConnection, prepareWriter } from '../database/sqlite/raw-connection.ts'
import type { Plain } from '../schema/cells.ts'
import { quotedName as quoted } from '../schema/described.ts'
import type { Table } from '../schema/tables.ts'
import { ownOf } from './own-tables.ts'
import { snapshotOf } from './sqlite-source.ts'
import { tablesIn } from './sqlite-tables.ts'
import { END_KEEPING, KEEP_PATHS, type Target, type TargetOptions, taken } from './target.ts'

/** Runs `work` in a transaction of a file with our schema. Throws CONFIG if the tables have rows, and StorageErrors. */
export async function intoSqlite<T>(
  path: string,
  { busyTimeoutMs }: TargetOptions,
  work: (target: Target) => Promise<T>,
): Promise<T> {
  const busyRetry = new BusyRetry(busyTimeoutMs)
  const file = prepareFile(path, { create: false })
  using raw = await busyRetry.run(() => openConnection(file, { readOnly: false }))
  try {
    await prepareWriter(raw, 'full', busyRetry)
    await busyRetry.run(() => raw.exec('BEGIN IMMEDIATE'))
    const { tables } = tablesIn(raw)
    for (const { name } of tables)
      if (raw.prepare(`SELECT 1 FROM ${quoted(name)} LIMIT 1`).get() !== undefined) throw taken(name)
    const isKeeping = ownOf(tables).length > 0 && raw.prepare(KEEP_PATHS).get() !== undefined
    const result = await work(targetOn(raw))
    if (isKeeping) raw.exec(END_KEEPING)
    commit(raw)
    // Readers may block this checkpoint: a later one moves the rest into the file.
    raw.pragma('wal_checkpoint(TRUNCATE)')
    return result
  } catch (error) {
    throw translated(error, raw.name)
  } finally {
    if (raw.inTransaction) raw.exec('ROLLBACK')
  }
}

function commit(raw: Sqlite.Database): void {
  try {
    raw.exec('COMMIT')
  } catch (error) {
    throw translatedCommit(error, raw.name)
  }
}

/** Target on a connection with an open transaction. */
export function targetOn(raw: Sqlite.Database): Target {
  const inserts = new Map<Table, Sqlite.Statement<Plain[]>>()
  const insertInto = (table: Table): Sqlite.Statement<Plain[]> => {
    const known = inserts.get(table)
    if (known !== undefined) return known
    const names = table.columns.map(({ name }) => quoted(name))
    const made = raw.prepare<Plain[]>(
      `INSERT INTO ${quoted(table.name)} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
    )
    inserts.set(table, made)
    return made
  }
  return {
    snapshot: snapshotOf(raw),
    write: async (table, rows) => {
      const insert = insertInto(table)
      try {
        for (const row of rows) insert.run(...row)
      } catch (error) {
        throw translated(error, raw.name)
      }
    },
    written: async () => {},
  }
}
