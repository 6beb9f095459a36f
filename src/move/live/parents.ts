/**
 * Foreign keys while rows are followed: a row may refer to another one that the log tells of later. Such parents are taken
 * along with their children, and a parent is deleted only after its last child.
 */
import type Sqlite from 'better-sqlite3'
import type { Ask } from '../../database/postgres/single.ts'
import type { DatabaseTables, ForeignKey } from '../../rows/own-tables.ts'
import { quotedName as quoted } from '../../schema/described.ts'
import type { Table } from '../../schema/tables.ts'

/** Keys of rows, by table. */
export type Keys = ReadonlyMap<Table, ReadonlySet<string>>

/** The keys of the rows' parents, and of theirs, in the file. */
export function parentsOf(raw: Sqlite.Database, { tables, foreignKeys }: DatabaseTables, rows: Keys): Keys {
  const all = new Map(tables.map((table) => [table, new Set(rows.get(table))]))
  // A child comes after its parents.
  for (const table of tables.toReversed()) {
    const keys = all.get(table) ?? new Set()
    if (keys.size === 0) continue
    for (const foreignKey of foreignKeys.filter((each) => each.table === table.name)) {
      const parent = tables.find(({ name }) => name === foreignKey.parent)
      if (parent === undefined) continue
      for (const key of raw
        .prepare<[string], string>(parentKeys(table, parent, foreignKey))
        .pluck()
        .iterate(JSON.stringify([...keys])))
        all.get(parent)?.add(key)
    }
  }
  for (const [table, keys] of rows) for (const key of keys) all.get(table)?.delete(key)
  return all
}

function parentKeys(table: Table, parent: Table, { columns, parentColumns }: ForeignKey): string {
  const on = columns.map((column, at) => `p.${quoted(parentColumns[at] ?? '')} = t.${quoted(column)}`).join(' AND ')
  return `SELECT DISTINCT p.${quoted(parent.key.name)} FROM ${quoted(table.name)} AS t
    JOIN ${quoted(parent.name)} AS p ON ${on}
    WHERE t.${quoted(table.key.name)} IN (SELECT value FROM json_each(?))`
}

/**
 * Deletes rows of the target to which no row refers. The log tells again of a row that is left: in the file its last child
 * was changed first, so that this change and the deletion are still to be followed.
 */
export async function deleteChildless(
  ask: Ask,
  { foreignKeys }: DatabaseTables,
  table: Table,
  keys: readonly string[],
): Promise<readonly string[]> {
  if (keys.length === 0) return []
  const children = foreignKeys.filter(({ parent }) => parent === table.name)
  const hasNone = children.map(({ table: child, columns, parentColumns }) => {
    const on = columns.map((column, at) => `c.${quoted(column)} = t.${quoted(parentColumns[at] ?? '')}`).join(' AND ')
    return ` AND NOT EXISTS (SELECT 1 FROM ${quoted(child)} AS c WHERE ${on})`
  })
  const key = `t.${quoted(table.key.name)}`
  await ask(`DELETE FROM ${quoted(table.name)} AS t WHERE ${key} = ANY($1::text[])${hasNone.join('')}`, [keys])
  if (children.length === 0) return []
  const left = await ask<[string]>(`SELECT ${key} FROM ${quoted(table.name)} AS t WHERE ${key} = ANY($1::text[])`, [
    keys,
  ])
  return left.map(([each]) => each)
}
