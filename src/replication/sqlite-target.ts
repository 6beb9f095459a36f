import type Sqlite from 'better-sqlite3'
import { isSqliteFailure, translated } from '../database/sqlite/errors.ts'
import { contentIn } from '../rows/send.ts'
import { snapshotOf } from '../rows/sqlite-source.ts'
import { quotedName as quoted } from '../schema/described.ts'
import type { Table } from '../schema/tables.ts'
import type { ReplicaTarget } from './target.ts'

/** Target on a connection with an open transaction. */
export function targetOn(raw: Sqlite.Database): ReplicaTarget {
  const prepared = new Map<string, Sqlite.Statement<unknown[]>>()
  const run = (sql: string, values: readonly unknown[]): void => {
    try {
      execute(sql, values)
    } catch (error) {
      throw translated(error)
    }
  }
  const execute = (sql: string, values: readonly unknown[]): void => {
    const statement = prepared.get(sql) ?? raw.prepare<unknown[]>(sql)
    prepared.set(sql, statement)
    statement.run(...values)
  }
  /** A row that has a unique value of this one has changed as well: its own line comes later. */
  const put = (sql: string, replace: string, row: readonly unknown[]): void => {
    try {
      execute(sql, row)
    } catch (error) {
      if (!isSqliteFailure(error) || error.code !== 'SQLITE_CONSTRAINT_UNIQUE') throw translated(error)
      run(replace, row)
    }
  }
  return {
    put: async (table, rows) => {
      const [sql, replace] = [upsert(table), `INSERT OR REPLACE ${inserting(table)}`]
      for (const row of rows) put(sql, replace, row)
    },
    remove: async ({ name, key }, keys) => {
      for (const each of keys) run(`DELETE FROM ${quoted(name)} WHERE ${quoted(key.name)} = ?`, [each])
    },
    removeBetween: async ({ name, key }, { after, upTo }, keys) => {
      const lower = after === undefined ? 'true' : `${quoted(key.name)} > ?`
      const upper = upTo === undefined ? 'true' : `${quoted(key.name)} <= ?`
      const sql = `DELETE FROM ${quoted(name)} WHERE ${lower} AND ${upper} AND ${quoted(key.name)} NOT IN (SELECT value FROM json_each(?))`
      run(sql, [...[after, upTo].filter((each) => each !== undefined), JSON.stringify(keys)])
    },
    content: (table) => contentIn(snapshotOf(raw, { asStored: true }), table, () => {}),
  }
}

/** A row that is the same already is left alone: it would be a change to subscribers of the target. */
function upsert(table: Table): string {
  const { key, columns } = table
  const name = quoted(table.name)
  const others = columns.filter((column) => column !== key).map((column) => quoted(column.name))
  const set = others.map((each) => `${each} = excluded.${each}`).join(', ')
  const isOther = others.map((each) => `${name}.${each} IS NOT excluded.${each}`).join(' OR ')
  const update = others.length === 0 ? 'NOTHING' : `UPDATE SET ${set} WHERE ${isOther}`
  return `INSERT ${inserting(table)} ON CONFLICT (${quoted(key.name)}) DO ${update}`
}

const inserting = ({ name, columns }: Table): string =>
  `INTO ${quoted(name)} (${columns.map((column) => quoted(column.name)).join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`
