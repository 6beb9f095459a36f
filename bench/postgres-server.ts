/** The PostgreSQL server that is measured: the one that `TEST_POSTGRES_URL` names, or else one of our own on loopback. */
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import pg from 'pg'
import { startPostgres } from '../test/support/postgres-server.ts'
import { isInMemory } from './disk.ts'
import { whenInterrupted } from './interruption.ts'

export interface Server {
  readonly url: (database: string) => string
  /** Version and the settings that decide what a commit costs. */
  readonly notes: readonly string[]
}

/** There is no server to measure. */
export class NoServer extends Error {}

interface Running {
  readonly url: (database: string) => string
  readonly where: string
  readonly warnings: readonly string[]
  readonly stop: () => Promise<void>
}

/** Throws NoServer. An error of `work` comes through, after the server has been stopped. */
export async function withServer<T>(work: (server: Server) => Promise<T>): Promise<T> {
  const running = await orNoServer(start)
  const release = whenInterrupted(running.stop)
  try {
    const notes = await orNoServer(() => describe(running))
    return await work({ url: running.url, notes })
  } finally {
    release()
    await running.stop()
  }
}

/** An empty database of that server, which is dropped at the end. */
export async function withDatabase<T>(server: Server, work: (url: string) => Promise<T>): Promise<T> {
  const name = `meshstore_bench_${randomBytes(6).toString('hex')}`
  const administer = (sql: string) => execute(server.url(''), sql)
  await administer(`CREATE DATABASE ${name}`)
  try {
    return await work(server.url(name))
  } finally {
    await administer(`DROP DATABASE ${name} WITH (FORCE)`)
  }
}

/** Runs SQL that is not measured. */
export async function execute(url: string, sql: string): Promise<void> {
  await using(url, (client) => client.query(sql))
}

async function start(): Promise<Running> {
  const existing = process.env.TEST_POSTGRES_URL
  if (existing !== undefined) {
    const url = (database: string): string => {
      const of = new URL(existing)
      if (database !== '') of.pathname = `/${database}`
      return of.href
    }
    return { url, where: 'the server of TEST_POSTGRES_URL', warnings: [], stop: async () => {} }
  }
  const server = await startPostgres()
  const inMemory = isInMemory(tmpdir())
  return {
    url: (database) => server.url(database === '' ? 'postgres' : database),
    where: 'loopback',
    warnings: inMemory
      ? ['Its data are in memory: a sync costs nothing there. Choose another folder with TMPDIR.']
      : [],
    stop: () => server.stop(),
  }
}

async function describe({ url, where, warnings }: Running): Promise<string[]> {
  return using(url(''), async (client) => {
    const setting = async (name: string): Promise<string> => (await client.query(`SHOW ${name}`)).rows[0][name]
    const version = (await setting('server_version')).split(' ')[0]
    const fsync = await setting('fsync')
    const commit = await setting('synchronous_commit')
    return [
      `PostgreSQL ${version}, ${where}; both sides SERIALIZABLE.`,
      `fsync ${fsync}, synchronous_commit ${commit}, full_page_writes ${await setting('full_page_writes')}.`,
      ...(fsync === 'on' && commit !== 'off' ? [] : ['NOT DURABLE: commits do not wait for the disk on this server.']),
      ...warnings,
    ]
  })
}

async function using<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url)
  // The query that is under way says it too; without a listener it ends the process.
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function orNoServer<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new NoServer(reasonOf(error), { cause: error })
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // If a name has several addresses, the reason is in each of the attempts.
  const { message } = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error
  return message.replaceAll(/\s+/g, ' ').trim()
}
