/** The file, read past the library. */
import Sqlite from 'better-sqlite3'
import { expect } from 'vitest'

/** No trace of a move is left in the file. */
export function expectAsBefore(path: string): void {
  const raw = new Sqlite(path, { readonly: true })
  const all = (sql: string): unknown[] => raw.prepare(sql).all()
  expect(all("SELECT name FROM meshstore_state WHERE name IN ('move', 'moved', 'change_log')")).toEqual([])
  expect(all('SELECT * FROM meshstore_consumers')).toEqual([])
  expect(all("SELECT name FROM sqlite_schema WHERE name LIKE '%moved%'")).toEqual([])
  raw.close()
}
