/** The file, read past the library. */
import Sqlite from 'better-sqlite3'
import { expect } from 'vitest'
import type { Asked } from './judge.ts'

export const asked = (path: string): Asked => ({
  query: async <R extends object>(sql: string) => {
    const raw = new Sqlite(path, { readonly: true })
    try {
      return raw.prepare<[], R>(sql).all()
    } finally {
      raw.close()
    }
  },
})

/** No trace of a move is left in the file. */
export function expectAsBefore(path: string): void {
  const raw = new Sqlite(path, { readonly: true })
  const all = (sql: string): unknown[] => raw.prepare(sql).all()
  expect(all("SELECT name FROM meshstore_state WHERE name IN ('move', 'moved', 'change_log')")).toEqual([])
  expect(all('SELECT * FROM meshstore_consumers')).toEqual([])
  expect(all("SELECT name FROM sqlite_schema WHERE name LIKE '%moved%'")).toEqual([])
  raw.close()
}
