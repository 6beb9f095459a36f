/** A file that only a follower writes: triggers refuse the writes of all other programs. */
import type Sqlite from 'better-sqlite3'
import { quotedName } from '../../schema/described.ts'

/** While the row is there, which is only inside the follower's transaction, the triggers let writes pass. */
export const APPLYING = 'replica_applying'
/** The triggers' messages begin so: RAISE() has no other way to say what it refuses. */
export const STANDBY_MESSAGE = 'meshstore: standby'
const EVENTS = ['INSERT', 'UPDATE', 'DELETE'] as const

function nameOf(table: string, event: string): string {
  return `${table}_standby_${event.toLowerCase()}`
}

/** Must run inside a transaction. */
export function refuseWrites(raw: Sqlite.Database, tables: readonly string[]): void {
  for (const table of tables) {
    for (const event of EVENTS)
      raw.exec(`CREATE TRIGGER IF NOT EXISTS ${quotedName(nameOf(table, event))} BEFORE ${event} ON ${quotedName(table)}
        WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = '${APPLYING}')
        BEGIN SELECT RAISE(ABORT, '${STANDBY_MESSAGE}: this database is read-only. Write to the primary.'); END`)
  }
}

/** Must run inside a transaction. */
export function allowWrites(raw: Sqlite.Database): void {
  const triggers = raw
    .prepare<[string], string>("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND instr(sql, ?) > 0")
    .pluck()
    .all(STANDBY_MESSAGE)
  for (const name of triggers) raw.exec(`DROP TRIGGER ${quotedName(name)}`)
}
