import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { randomName } from './database.ts'

const GRANTS = new URL('../../../drizzle/postgresql-grants.sql', import.meta.url)

/** Runs the file that the package ships, as psql does: statement by statement in one connection. */
export async function runGrants(databaseUrl: string): Promise<void> {
  await using(databaseUrl, async (client) => client.query(await readFile(GRANTS, 'utf8')))
}

export interface AppRole extends AsyncDisposable {
  readonly name: string
  /** The database's URL, as this role. */
  urlOf(databaseUrl: string): string
}

/** A role to log in with that has the rights of `meshstore_app` and no others; dropped when it is disposed of. */
export async function createAppRole(
  adminUrl: string,
  password: string = randomBytes(12).toString('hex'),
): Promise<AppRole> {
  const name = randomName('meshstore_test')
  await using(adminUrl, async (client) => {
    await client.query(`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`)
    await client.query(`GRANT meshstore_app TO ${name}`)
  })
  return {
    name,
    urlOf: (databaseUrl) => {
      const url = new URL(databaseUrl)
      url.username = name
      url.password = password
      return url.href
    },
    [Symbol.asyncDispose]: () => using(adminUrl, async (client) => void (await client.query(`DROP ROLE ${name}`))),
  }
}

async function using<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
