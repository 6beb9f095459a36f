/** Rows of `meshstore_state`, by name, on a connection past the sessions. */
import type Sqlite from 'better-sqlite3'
import { encodeTime } from '../../schema/codecs.ts'

export const noteIn = (raw: Sqlite.Database, name: string): string | undefined =>
  raw.prepare<[string], string>('SELECT value FROM meshstore_state WHERE name = ?').pluck().get(name)

/** Writes the row, or replaces its value. */
export const note = (raw: Sqlite.Database, name: string, value: string, at: Date): unknown =>
  raw
    .prepare('INSERT OR REPLACE INTO meshstore_state (name, value, updated_at) VALUES (?, ?, ?)')
    .run(name, value, encodeTime(at))

export const forget = (raw: Sqlite.Database, name: string): unknown =>
  raw.prepare('DELETE FROM meshstore_state WHERE name = ?').run(name)
