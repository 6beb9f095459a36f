/** Writes past the library, as another program does. */
import { setTimeout as sleep } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import pg from 'pg'

export interface OtherWriter {
  /** Returns what it committed. */
  turn(id: string, undone: string): Promise<string[]>
  close(): Promise<void>
}

export const openOther = (url: string): Promise<OtherWriter> =>
  url.startsWith('sqlite:') ? sqlite(url) : postgres(url)

const insert = (id: string): string =>
  `INSERT INTO nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at)
   VALUES ('${id}', '[]', '[]', '0', 0, 1, 1)`
const touch = (id: string): string => `UPDATE nodes SET routes_discovered = 1 WHERE node_id = '${id}'`
const remove = (id: string): string => `DELETE FROM nodes WHERE node_id = '${id}'`
const rename = (from: string, to: string): string => `UPDATE nodes SET node_id = '${to}' WHERE node_id = '${from}'`

async function sqlite(url: string): Promise<OtherWriter> {
  const raw = new Sqlite(url.slice('sqlite:'.length), { timeout: 60_000 })
  return {
    turn: async (id, undone) => {
      raw.exec(`BEGIN IMMEDIATE; ${insert(id)}; SAVEPOINT s; ${insert(undone)}; ROLLBACK TO s; COMMIT`)
      raw.exec(`BEGIN IMMEDIATE; ${insert(undone)}; ROLLBACK`)
      raw.exec(insert(id).replace('INSERT', 'INSERT OR REPLACE'))
      raw.exec(rename(id, `${id}-renamed`))
      raw.exec(remove(`${id}-renamed`))
      await sleep(1)
      return [
        ...[`insert nodes ${id}`, `insert nodes ${id}`, `delete nodes ${id}`],
        ...[`insert nodes ${id}-renamed`, `delete nodes ${id}-renamed`],
      ]
    },
    close: async () => void raw.close(),
  }
}

/** READ COMMITTED, and committed in the order against that of numbers and ids. */
async function postgres(url: string): Promise<OtherWriter> {
  const clients = await Promise.all(
    [1, 2].map(async () => {
      const client = new pg.Client(url)
      await client.connect()
      return client
    }),
  )
  const [early, late] = clients
  if (early === undefined || late === undefined) throw new Error('There are no clients.')
  const begin = 'BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_current_xact_id()'
  return {
    turn: async (id, undone) => {
      // It has the lower id and the lower number, and is committed last, …
      await early.query(`${begin}; ${insert(`${id}-early`)}; SAVEPOINT s; ${insert(undone)}; ROLLBACK TO s`)
      await late.query(`${begin}; ${insert(undone)}; ROLLBACK`)
      await late.query(`${begin}; ${insert(`${id}-late`)}; ${insert(id)}; COMMIT`)
      await sleep(2)
      // … and goes on with a row that the later one has written.
      await early.query(`${touch(id)}; ${rename(id, `${id}-renamed`)}; COMMIT`)
      await late.query(`${remove(`${id}-early`)}; ${remove(`${id}-late`)}; ${remove(`${id}-renamed`)}`)
      return [
        ...['early', 'late', 'renamed'].flatMap((end) => [`insert nodes ${id}-${end}`, `delete nodes ${id}-${end}`]),
        ...['insert', 'update', 'delete'].map((operation) => `${operation} nodes ${id}`),
      ]
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.end()))
    },
  }
}
