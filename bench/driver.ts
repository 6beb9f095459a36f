/** The paths of the library and of its driver, without loading the library itself. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type BetterSqlite3 from 'better-sqlite3'

export const built: string = fileURLToPath(new URL('../dist/index.js', import.meta.url))

/** The built package that users install, if it is there. */
export const libraryPath: string = existsSync(built)
  ? built
  : fileURLToPath(new URL('../src/index.ts', import.meta.url))

/**
 * The driver as the library loads it, and not the copy of the benchmark's own package: two copies of SQLite in one
 * process do not see each other's locks.
 */
export const Sqlite: typeof BetterSqlite3 = createRequire(libraryPath)('better-sqlite3')

/** A handle on an existing file, set as the library sets its own. */
export function openDriver(file: string, durability: 'full' | 'normal'): BetterSqlite3.Database {
  const handle = new Sqlite(file, { fileMustExist: true })
  handle.pragma('journal_mode = WAL')
  handle.pragma(`synchronous = ${durability}`)
  return handle
}
