import type Sqlite from 'better-sqlite3'
import { translated } from '../database/sqlite/errors.ts'
import { contentIn } from '../rows/send.ts'
import { snapshotOf } from '../rows/sqlite-source.ts'
import type { Plain } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import type { ReplicaTarget } from './target.ts'

/** Target on a connection with an open transaction. */
export function targetOn(raw: Sqlite.Database): ReplicaTarget {
  const prepared = new Map<string, Sqlite.Statement<unknown[]>>()
  const run = (sql: string, values: readonly unknown[]): void => {
    try {
      const statement = prepared.get(sql) ?? raw.prepare<unknown[]>(sql)
      prepared.set(sql, statement)
      statement.run(...values)
    } catch (error) {
      throw translated(error)
    }
  }
  return {
    put: async (table, rows) => {
      const sql = upsert(table)
      for (const row of rows) run(sql, row as Plain[])
    },
    remove: async ({ name, key }, keys) => {
      for (const each of keys) run(`DELETE FROM ${name} WHERE ${key.name} = ?`, [each])
    },
    removeBetween: async ({ name, key }, { after, upTo }, keys) => {
      const lower = after === undefined ? 'true' : `${key.name} > ?`
      const upper = upTo === undefined ? 'true' : `${key.name} <= ?`
      const sql = `DELETE FROM ${name} WHERE ${lower} AND ${upper} AND ${key.name} NOT IN (SELECT value FROM json_each(?))`
      run(sql, [...[after, upTo].filter((each) => each !== undefined), JSON.stringify(keys)])
    },
    content: (table) => contentIn(snapshotOf(raw, { asStored: true }), table, () => {}),
  }
}

/** A row that is the same already is left alone: it would be a change to subscribers of the target. */
function upsert({ name, key, columns }: Table): string {
  const names = columns.map((column) => column.name)
  const others = names.filter((each) => each !== key.name)
  const set = others.map((each) => `${each} = excluded.${each}`).join(', ')
  const isOther = others.map((each) => `${name}.${each} IS NOT excluded.${each}`).join(' OR ')
  const update = others.length === 0 ? 'NOTHING' : `UPDATE SET ${set} WHERE ${isOther}`
  return `INSERT INTO ${name} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})
    ON CONFLICT (${key.name}) DO ${update}`
}
