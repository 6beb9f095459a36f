/** Statements of an import. They write times and bundles exactly as in the file, without the repositories. */
import { type Column, type Table as DrizzleTable, getTableColumns } from 'drizzle-orm'
import { excluded, type Tables } from '../database/queries.ts'
import { pick, type Statement, statement } from '../database/statement.ts'
import { present } from '../errors.ts'
import type { Table } from '../schema/tables.ts'
import { isOwn } from './own-tables.ts'
import { ownTwin } from './own-twins.ts'

/** A row by property. Validation gave each value its column's type. */
export type Parameters = Readonly<Record<string, unknown>>
type Write = Statement<Parameters, unknown>
export const asWrite = <P, R>(specific: Statement<P, R>): Write => specific as unknown as Write

export interface TableStatements {
  readonly existing: Statement<{ keys: readonly string[] }, { key: unknown }>
  /** One key, if the table has rows. */
  readonly any: Statement<unknown, { key: unknown }>
  readonly insert: Write
  /** Replaces all columns by the file's values. */
  readonly replace: Write
}

interface Twin {
  readonly table: DrizzleTable
  readonly columns: Readonly<Record<string, Column>>
  readonly key: Column
}

function twinOf(tables: Tables, described: Table): Twin {
  const { twin, key } = described
  const all: Readonly<Record<string, DrizzleTable>> = tables
  const table = isOwn(described) ? ownTwin(tables, described) : all[twin]
  const columns = table === undefined ? {} : getTableColumns(table)
  const keyColumn = columns[key.property]
  if (table === undefined || keyColumn === undefined) throw new TypeError(`The dialect has no table ${twin}.`)
  return { table, columns, key: keyColumn }
}

const made = new WeakMap<Table, TableStatements>()

export function statementsOf(table: Table): TableStatements {
  const statements = made.get(table) ?? makeFor(table)
  made.set(table, statements)
  return statements
}

function makeFor(described: Table): TableStatements {
  const name = `transfer.${described.name}`
  const properties = described.columns.map(({ property }) => property)
  const others = properties.filter((property) => property !== described.key.property)
  const insert = statement<Parameters>()(
    name,
    (db, tables, p) => db.insert(twinOf(tables, described).table).values(pick(p, properties)).onConflictDoNothing(),
    'inserts one row',
  )
  const replace = statement<Parameters>()(
    `${name}.replace`,
    (db, tables, p) => {
      const { table, columns, key } = twinOf(tables, described)
      const set = Object.fromEntries(others.map((property) => [property, excluded(present(columns[property]))]))
      const rows = db.insert(table).values(pick(p, properties))
      // A table of a key alone has nothing to replace.
      return others.length === 0 ? rows.onConflictDoNothing() : rows.onConflictDoUpdate({ target: key, set })
    },
    'inserts one row',
  )
  return {
    existing: statement<{ keys: readonly string[] }>()(`${name}.keys`, (db, tables, p, fn) => {
      const { table, key } = twinOf(tables, described)
      return db.select({ key }).from(table).where(fn.isOneOf(key, p.keys))
    }),
    any: statement()(`${name}.any`, (db, tables) => {
      const { table, key } = twinOf(tables, described)
      return db.select({ key }).from(table).limit(1)
    }),
    insert: asWrite(insert),
    replace: asWrite(replace),
  }
}
