/** A database as the first version of the library left it. */
import Sqlite from 'better-sqlite3'
import { migrationsOf } from '../../src/migrator/migrations.ts'
import { SHARED } from './lane.ts'

/** Makes one with the node that all lanes count on. Returns how many migrations there are by now. */
export function oldFile(path: string): number {
  const [first, ...later] = migrationsOf('sqlite')
  if (first === undefined || later.length === 0) throw new Error('There is no older version to begin with.')
  const raw = new Sqlite(path)
  // As the library leaves it: a crash must not find the file in another mode.
  raw.pragma('journal_mode = WAL')
  raw.exec(`CREATE TABLE __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)`)
  for (const statement of first.statements) raw.exec(statement)
  raw.prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)').run(first.hash, first.when)
  raw
    .prepare("INSERT INTO nodes (node_id, interfaces, protocols, created_at, updated_at) VALUES (?, '[]', '[]', 1, 1)")
    .run(SHARED)
  raw.close()
  return later.length + 1
}

/** How many migrations are recorded in it. */
export function appliedIn(path: string): number {
  const raw = new Sqlite(path)
  const applied = raw.prepare('SELECT count(*) FROM __drizzle_migrations').pluck().get()
  raw.close()
  return Number(applied)
}
