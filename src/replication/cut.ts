/** Reads what a database changed from one committed state to a later one. */
import type { LoggedChange, LogPosition } from '../database/session.ts'
import { StorageError } from '../errors.ts'
import { EventLoopYield } from '../event-loop.ts'
import { problemsOf } from '../rows/compatibility.ts'
import { nextLimit } from '../rows/source.ts'
import { type Plain, plainCells, shownKey } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import type { ObjectWriter } from './object.ts'
import type { CommittedState } from './source.ts'

/** Entries of the log that are read at once: their keys are distinct, so that a row of a busy key is read once for each page. */
const PAGE = 2_000
/** Rows that are read at once; fewer where they are large. */
const ROWS = 500
/** A larger segment becomes a base, which is written in parts. */
const MOST_BYTES = 67_108_864

/** The chain cannot go on: a new generation has to begin. */
export class ChainBroken extends Error {
  override readonly name = 'ChainBroken'
}

export interface Reached {
  readonly position: string
  /** Entries of the log, of all tables. */
  readonly entries: number
}

/** Writes the last image of each changed row. Throws ChainBroken, and CORRUPT for a row that no other database can hold. */
export async function writeChanges(
  state: CommittedState,
  from: LogPosition,
  tables: readonly Table[],
  writer: ObjectWriter,
): Promise<Reached> {
  const named = new Map(tables.map((table) => [table.name, table]))
  const yielding = new EventLoopYield()
  let { position } = from
  let entries = 0
  for (;;) {
    const page = await state.changes({ log: from.log, position }, PAGE)
    if (page === undefined) throw new ChainBroken('The change log does not hold every change since the last segment.')
    position = page.position
    if (page.changes.length === 0) return { position, entries }
    entries += page.changes.length
    for (const [name, keys] of keysOf(page.changes)) {
      const table = named.get(name)
      if (table !== undefined) await writeRows(state, { table, keys: [...keys] }, writer, yielding)
    }
    if (writer.bytes > MOST_BYTES) throw new ChainBroken('The changes since the last segment are larger than a base.')
    if (yielding.isDue()) await yielding.now()
  }
}

/** Passes over the changes that a base holds. */
export async function positionAt(state: CommittedState, from: LogPosition): Promise<string> {
  for (let { position } = from; ; ) {
    const page = await state.changes({ log: from.log, position }, PAGE)
    if (page === undefined) throw new ChainBroken('The change log does not hold every change since it was switched on.')
    if (page.changes.length === 0) return page.position
    position = page.position
  }
}

function keysOf(changes: readonly LoggedChange[]): ReadonlyMap<string, ReadonlySet<string>> {
  const keys = new Map<string, Set<string>>()
  for (const { table, key, operation } of changes) {
    if (operation === 'invalidate' || operation === 'begin') continue
    if (key === null) throw new ChainBroken('One statement removed all rows of a table, or a row without a key.')
    const known = keys.get(table)
    if (known === undefined) keys.set(table, new Set([key]))
    else known.add(key)
  }
  return keys
}

interface Changed {
  readonly table: Table
  readonly keys: readonly string[]
}

async function writeRows(
  state: CommittedState,
  { table, keys }: Changed,
  writer: ObjectWriter,
  yielding: EventLoopYield,
): Promise<void> {
  let limit = ROWS / 10
  for (let at = 0; at < keys.length; ) {
    const asked = keys.slice(at, at + limit)
    at += asked.length
    const missing = new Set(asked)
    const rows = await state.rows(table, asked)
    for (const row of rows) {
      const cells = sharedCells(table, row)
      missing.delete(String(cells[table.columns.indexOf(table.key)]))
      await writer.row(table.name, cells)
    }
    for (const key of missing) await writer.deleted(table.name, key)
    if (rows.length > 0) limit = nextLimit(rows, ROWS)
    if (yielding.isDue()) await yielding.now()
  }
}

/** The cells in the form of all dialects. Throws CORRUPT. */
export function sharedCells(table: Table, row: readonly unknown[]): Plain[] {
  const [problem] = problemsOf(table, row, 'sqlite')
  if (problem === undefined) return plainCells(table, row)
  throw new StorageError(
    'CORRUPT',
    `${table.name} ${shownKey(row[table.columns.indexOf(table.key)])}: ${problem.column} ${problem.message}. Another program wrote it; correct or delete the row. Until then nothing is replicated.`,
  )
}
