/** Fencing: triggers refuse all programs' writes to a file whose data has moved. */
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../../errors.ts'
import { encodeTime } from '../../schema/codecs.ts'
import { quotedName } from '../../schema/described.ts'
import { TABLE_NAMES } from '../../schema/tables.ts'
import { STANDBY_MESSAGE } from './standby.ts'

/** The row of meshstore_state that records the move. */
const MOVED = 'moved'
const EVENTS = ['INSERT', 'UPDATE', 'DELETE'] as const

/** SQL condition on a row of sqlite_schema: a trigger of the fence, or of a standby. */
export const IS_FENCE = `type = 'trigger' AND (instr(sql, '${STANDBY_MESSAGE}: ') > 0 OR name IN (${TABLE_NAMES.flatMap(
  (table) => EVENTS.map((event) => nameOf(table, event)),
)
  .map((name) => `'${name}'`)
  .join()}))`

export interface Moved {
  /** The move's id, which the other database has too. */
  readonly id: string
  /** Host, port and database, without user and password. */
  readonly to: string
}

function nameOf(table: string, event: string): string {
  return `${table}_moved_${event.toLowerCase()}`
}

/** Prepares a query of the fence. Its result is `undefined` if the data has not moved, or the file has no tables of ours. */
export function prepareFenceQuery(raw: Sqlite.Database): () => Moved | undefined {
  let select: Sqlite.Statement<[string], string> | undefined
  return () => {
    try {
      select ??= raw.prepare<[string], string>('SELECT value FROM meshstore_state WHERE name = ?').pluck()
      const value = select.get(MOVED)
      return value === undefined ? undefined : (JSON.parse(value) as Moved)
    } catch {
      // Ignore the error here: the caller's own statement will report it. The triggers still refuse writes.
      return undefined
    }
  }
}

/** Prepares a query of whether a move of the file is under way. */
export function prepareMoveQuery(raw: Sqlite.Database): () => boolean {
  let select: Sqlite.Statement<[], number> | undefined
  return () => {
    try {
      select ??= raw.prepare<[], number>("SELECT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'move')").pluck()
      return select.get() === 1
    } catch {
      return false
    }
  }
}

/**
 * Must run inside a transaction. Its COMMIT is the cutover: afterwards no program can write to our tables, nor to the
 * application's own tables that have been moved.
 */
export function raiseFence(raw: Sqlite.Database, { id, to }: Moved, at: Date, ownTables: readonly string[] = []): void {
  // A trigger's text takes no parameters: quotes in host and database are doubled.
  const message = `meshstore: this database has moved to PostgreSQL at ${to} (move ${id}). Write there.`.replaceAll(
    "'",
    "''",
  )
  for (const table of [...TABLE_NAMES, ...ownTables]) {
    for (const event of EVENTS) {
      raw.exec(`CREATE TRIGGER ${quotedName(nameOf(table, event))} BEFORE ${event} ON ${quotedName(table)}
        BEGIN SELECT RAISE(ABORT, '${message}'); END`)
    }
  }
  raw
    .prepare('INSERT INTO meshstore_state (name, value, updated_at) VALUES (?, ?, ?)')
    .run(MOVED, JSON.stringify({ id, to }), encodeTime(at))
}

export const movedError = ({ to }: Moved): StorageError =>
  new StorageError(
    'MOVED',
    `The data has moved to PostgreSQL at ${to}. Nothing was read or written. Open that database, or give its URL as \`successor\`.`,
  )
