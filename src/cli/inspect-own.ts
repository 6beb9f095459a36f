/** An application's own tables for people, by what the database says of them: the command line has none of the application's code. */
import { compatibilityOf } from '../rows/compatibility.ts'
import { ownOf, tableIn } from '../rows/own-tables.ts'
import type { Snapshot } from '../rows/source.ts'
import { keyCell } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import { count } from './output.ts'

export interface OwnPage {
  readonly title: string
  readonly shown: readonly object[]
  readonly cells: readonly (readonly string[])[]
  /** The last key. */
  readonly last: string | undefined
  readonly hasMore: boolean
}

export const ownTablesIn = async (snapshot: Snapshot): Promise<Table[]> => ownOf((await snapshot.tables()).tables)

export const ownTableIn = async (snapshot: Snapshot, name: string): Promise<Table | undefined> =>
  tableIn(await ownTablesIn(snapshot), name)

export async function ownPage(
  snapshot: Snapshot,
  table: Table,
  { limit, after }: { limit: number; after: string | undefined },
): Promise<OwnPage> {
  const found: (readonly unknown[])[] = []
  for await (const slice of snapshot.slices(table, after)) {
    found.push(...slice)
    if (found.length > limit) break
  }
  const rows = found.slice(0, limit)
  const last = rows.at(-1)
  return {
    title: `${table.name} (${count(await snapshot.count(table))}):`,
    shown: rows.map((row) => asObject(table, row)),
    cells: rows.map((row) => asCells(table, row)),
    last: last && String(keyCell(table, last)),
    hasMore: found.length > limit,
  }
}

/** As an export has them. A value that cannot be read is left out. */
function asObject(table: Table, row: readonly unknown[]): object {
  const { values } = compatibilityOf(table, row)
  return Object.fromEntries(table.columns.map(({ name }, at) => [name, values[at]]))
}

/** The key first. */
function asCells(table: Table, row: readonly unknown[]): string[] {
  const { values } = compatibilityOf(table, row)
  const others = table.columns.flatMap(({ name, kind }, at) =>
    name === table.key.name ? [] : [`${name}=${shown(kind, values[at])}`],
  )
  return [String(keyCell(table, row)), ...others]
}

function shown(kind: string, value: unknown): string {
  if (value === undefined) return '(unreadable)'
  if (kind === 'time' && typeof value === 'number') return new Date(value * 1_000).toISOString()
  return typeof value === 'string' ? value : JSON.stringify(value)
}
