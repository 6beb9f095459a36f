import type Sqlite from 'better-sqlite3'
import type { SqliteDatabase } from '../../../src/database/sqlite/sqlite-database.ts'
import type { NodeRepository, StorageOptions } from '../../../src/index.ts'
import { configOf } from '../../../src/open/config.ts'
import { openSqlite } from '../../../src/open/sqlite.ts'
import { SqlNodeRepository } from '../../../src/repositories/node-repository.ts'

/** A store of nodes of which the connections can be reached: for what nobody else can do to them. */
export interface Inside extends AsyncDisposable {
  readonly database: SqliteDatabase
  readonly nodes: NodeRepository
  /** The very connection that writes. */
  readonly writer: Sqlite.Database
}

export async function openInside(path: string, options: Omit<StorageOptions, 'url'> = {}): Promise<Inside> {
  const database = await openSqlite(path, configOf({ url: path, ...options }))
  const writer = await database.onWriter(({ raw }) => raw)
  const nodes = new SqlNodeRepository(database, () => new Date())
  return { database, nodes, writer, [Symbol.asyncDispose]: () => database.close() }
}
