import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { eventually } from './eventually.ts'

export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  readonly url: string
  /** Asks as the administrator, past the library. */
  query<R extends object>(sql: string, values?: readonly unknown[]): Promise<R[]>
  /** Another client of the administrator's, for as long as the database is there. */
  client(): Promise<pg.Client>
}

export const randomName = (prefix: string): string => `${prefix}_${randomBytes(6).toString('hex')}`

/** An empty database of its own, dropped when it is disposed of. */
export async function createDatabase(
  server: string = inject('postgresUrl'),
  { encoding = 'UTF8', tablespace }: { encoding?: string; tablespace?: { name: string; location: string } } = {},
): Promise<TestDatabase> {
  const name = randomName('meshstore_test')
  // C is the only locale that goes with every encoding.
  if (tablespace !== undefined)
    await execute(server, `CREATE TABLESPACE ${tablespace.name} LOCATION '${tablespace.location}'`)
  const where = tablespace === undefined ? '' : `TABLESPACE ${tablespace.name}`
  await execute(server, `CREATE DATABASE ${name} TEMPLATE template0 ENCODING ${encoding} LOCALE 'C' ${where}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  const pool = new pg.Pool({ connectionString: url.href, max: 2 })
  pool.on('error', () => {})
  const clients: pg.Client[] = []
  return {
    name,
    url: url.href,
    query: async (sql, values = []) => (await pool.query(sql, [...values])).rows,
    client: async () => {
      const client = await connected(url.href)
      clients.push(client)
      return client
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) await client.end()
      await pool.end()
      await execute(server, `DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  return client
}

async function execute(url: string, sql: string): Promise<void> {
  const client = await connected(url)
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** The server's processes behind a store's connections. */
export async function backendsOf(database: TestDatabase): Promise<number[]> {
  const sql = `SELECT pid FROM pg_stat_activity
    WHERE datname = $1 AND application_name = 'meshstore' ORDER BY pid`
  return (await database.query<{ pid: number }>(sql, [database.name])).map(({ pid }) => pid)
}

/** Resolves when none of these processes is there any more: what was sent to them has been done, or never will be. */
export async function ended(database: TestDatabase, pids: readonly number[]): Promise<void> {
  await eventually('the connections of before have ended', async () => {
    const left = await backendsOf(database)
    return !pids.some((pid) => left.includes(pid))
  })
}
