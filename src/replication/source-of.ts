import { MovableDatabase } from '../database/movable-database.ts'
import type { Database } from '../database/session.ts'
import { misuse } from '../errors.ts'
import type { Source } from './source.ts'

const sources = new WeakMap<Database, Source>()

/** The source of the database that a store uses now: the data of a file may move. */
export async function sourceOf(database: Database): Promise<Source> {
  const current = database instanceof MovableDatabase ? database.current : database
  const known = sources.get(current)
  if (known !== undefined) return known
  const source = await sourceOn(current)
  sources.set(current, source)
  return source
}

async function sourceOn(database: Database): Promise<Source> {
  if (database.dialect === 'sqlite') {
    const { SqliteDatabase } = await import('../database/sqlite/sqlite-database.ts')
    const { sqliteSource } = await import('./sqlite-source.ts')
    if (database instanceof SqliteDatabase) return sqliteSource(database)
  } else {
    const { PostgresDatabase } = await import('../database/postgres/postgres-database.ts')
    const { postgresSource } = await import('./postgres-source.ts')
    if (database instanceof PostgresDatabase) return postgresSource(database)
  }
  throw misuse('This database cannot be replicated. Use a file or a server.')
}
