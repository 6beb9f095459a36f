/** The place of a killed migration: a database that is one of many alike, and what can be seen of it from outside. */
import { copyFileSync, readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { backendsOf, createDatabase } from '../postgres/support/database.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { temporaryFolder } from '../support/folders.ts'
import { fillPostgres, leftOver } from './migration-files.ts'
import { postgresState, type State, sqliteState } from './migration-states.ts'

export interface Place extends AsyncDisposable {
  readonly url: string
  /** A path of its own, for whatever has to be somewhere. */
  file(name: string): string
  state(): Promise<State>
  /** Whether somebody holds the lock that a migration takes. */
  held(): Promise<boolean>
  /** Resolves when nothing of a process that was killed is there any more. */
  gone(): Promise<void>
  /** The states of the copies that were made of it. */
  copies(): State[]
  partial(): string[]
  /** Names that nothing should have. */
  other(): string[]
}

export function sqlitePlace(template: string, expectedFiles: readonly string[] = []): Place {
  const folder = temporaryFolder()
  const path = folder.file('mesh.db')
  copyFileSync(template, path)
  const left = () => leftOver(path, readdirSync(dirname(path)))
  return {
    url: `sqlite:${path}`,
    file: (name) => folder.file(name),
    state: async () => sqliteState(path),
    held: async () => isLocked(path),
    gone: async () => {},
    copies: () => left().copies.map((name) => sqliteState(folder.file(name))),
    partial: () => left().partial,
    other: () => left().other.filter((name) => !expectedFiles.includes(name)),
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  }
}

function isLocked(path: string): boolean {
  const raw = new Sqlite(path, { timeout: 0 })
  try {
    raw.exec('BEGIN IMMEDIATE; ROLLBACK')
    return false
  } catch (error) {
    if (error instanceof Sqlite.SqliteError && error.code === 'SQLITE_BUSY') return true
    throw error
  } finally {
    raw.close()
  }
}

export async function postgresPlace(): Promise<Place> {
  const database = await createDatabase()
  await fillPostgres(database)
  const folder = temporaryFolder()
  return {
    url: database.url,
    file: (name) => folder.file(name),
    state: () => postgresState(database),
    held: async () => {
      const sql = `SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted
        AND classid = 1298495336 AND datname = current_database() AND state = 'idle in transaction'`
      return (await database.query(sql)).length === 1
    },
    gone: () => eventually('its connections have ended', async () => (await backendsOf(database)).length === 0),
    copies: () => [],
    partial: () => [],
    other: () => readdirSync(folder.path),
    [Symbol.asyncDispose]: async () => {
      folder[Symbol.dispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}
