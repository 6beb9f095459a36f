/** Gives one database the indexes of another: two builds then differ by their code alone. */
import Sqlite from 'better-sqlite3'
import pg from 'pg'

interface Index {
  readonly name: string
  readonly sql: string
}

interface Indexed {
  readonly indexes: () => Promise<readonly Index[]>
  readonly run: (sql: string) => Promise<unknown>
  readonly close: () => unknown
}

const ON_SQLITE = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
const ON_POSTGRES = `SELECT indexname AS name, indexdef AS sql FROM pg_indexes
  WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint)`

async function open(url: string): Promise<Indexed> {
  if (!url.startsWith('postgres')) {
    const raw = new Sqlite(url)
    const indexes = async () => raw.prepare<[], Index>(ON_SQLITE).all()
    return { indexes, run: async (sql) => raw.exec(sql), close: () => raw.close() }
  }
  const client = new pg.Client(url)
  await client.connect()
  const indexes = async () => (await client.query<Index>(ON_POSTGRES)).rows
  return { indexes, run: (sql) => client.query(sql), close: () => client.end() }
}

/** An index on what `to` does not have is left out. */
export async function sameIndexes(from: string, to: string): Promise<void> {
  const [source, target] = [await open(from), await open(to)]
  for (const { name } of await target.indexes()) await target.run(`DROP INDEX "${name}"`)
  for (const { sql } of await source.indexes()) await target.run(sql).catch(() => {})
  await source.close()
  await target.close()
}
