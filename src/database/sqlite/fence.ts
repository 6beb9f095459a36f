/** What keeps everybody from writing to a file whose data has moved to another database. */
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../../errors.ts'
import { encodeTime } from '../../schema/codecs.ts'
import { TABLE_NAMES } from '../../schema/tables.ts'

/** The row of meshstore_state that says so. */
const MOVED = 'moved'
const EVENTS = ['INSERT', 'UPDATE', 'DELETE'] as const

/** In SQL, of a row of sqlite_schema: one of the fence's triggers. */
export const IS_FENCE = `type = 'trigger' AND name IN (${TABLE_NAMES.flatMap((table) =>
  EVENTS.map((event) => `'${nameOf(table, event)}'`),
).join()})`

export interface Moved {
  /** Of the move: the other database knows it, too. */
  readonly id: string
  /** Host, port and database: no user, no password. */
  readonly to: string
}

function nameOf(table: string, event: string): string {
  return `${table}_moved_${event.toLowerCase()}`
}

/** Looks at the file, once for each connection. `undefined`: it has not moved, or has no tables of ours. */
export function fenceOf(raw: Sqlite.Database): () => Moved | undefined {
  let select: Sqlite.Statement<[string], string> | undefined
  return () => {
    try {
      select ??= raw.prepare<[string], string>('SELECT value FROM meshstore_state WHERE name = ?').pluck()
      const value = select.get(MOVED)
      return value === undefined ? undefined : (JSON.parse(value) as Moved)
    } catch {
      // What is wrong with the file is said by what was to be done with it; and who writes meets the triggers.
      return undefined
    }
  }
}

/** Whether a move of the file is under way, once for each connection. */
export function moveOn(raw: Sqlite.Database): () => boolean {
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

/** In a transaction, whose COMMIT is the switch: from then on no program can write. */
export function raiseFence(raw: Sqlite.Database, { id, to }: Moved, at: Date): void {
  // In a trigger, parameters are not allowed. Host and database hold no quote that this does not double.
  const message = `meshstore: this database has moved to PostgreSQL at ${to} (move ${id}). Write there.`.replaceAll(
    "'",
    "''",
  )
  for (const table of TABLE_NAMES) {
    for (const event of EVENTS) {
      raw.exec(`CREATE TRIGGER ${nameOf(table, event)} BEFORE ${event} ON ${table}
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
    `The data has moved to PostgreSQL at ${to}: nothing was read or written. Open that database, or give its URL as \`successor\`.`,
  )
