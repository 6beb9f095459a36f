import type Sqlite from 'better-sqlite3'
import { SqliteDatabase, type SqliteOptions } from '../../../src/database/sqlite/sqlite-database.ts'
import type { NodeRepository } from '../../../src/index.ts'
import { migrateSqlite } from '../../../src/migrator/sqlite-migrator.ts'
import { SqlNodeRepository } from '../../../src/repositories/node-repository.ts'

/** A store of nodes of which the connections can be reached: for what nobody else can do to them. */
export interface Inside extends AsyncDisposable {
  readonly database: SqliteDatabase
  readonly nodes: NodeRepository
  /** The very connection that writes. */
  readonly writer: Sqlite.Database
}

export async function openInside(path: string, options: Partial<SqliteOptions> = {}): Promise<Inside> {
  const writers: Sqlite.Database[] = []
  const defaults = { durability: 'full', readOnly: false, busyTimeoutMs: 5_000, maxPendingWrites: 100_000 } as const
  const database = await SqliteDatabase.open({ ...defaults, ...options, path }, async ({ raw }, patience) => {
    writers.push(raw)
    await migrateSqlite(raw, { mode: 'apply', patience })
  })
  const [writer] = writers
  if (writer === undefined) throw new Error('The writer was not shown.')
  const nodes = new SqlNodeRepository(database.session, () => new Date())
  return { database, nodes, writer, [Symbol.asyncDispose]: () => database.close() }
}
