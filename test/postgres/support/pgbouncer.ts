/** PgBouncer in transaction mode in front of a server, from Debian's package. */
import { spawn, spawnSync } from 'node:child_process'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { freePort, NOBODY } from '../../support/postgres-server.ts'
import { eventually } from './eventually.ts'

export const hasPgBouncer = spawnSync('pgbouncer', ['--version']).error === undefined

export interface PgBouncer extends AsyncDisposable {
  readonly url: string
  /** Ends it at once, and starts it again. */
  restart(): Promise<void>
}

export async function pgBouncer(server: string): Promise<PgBouncer> {
  const { hostname, port, username, password, pathname } = new URL(server)
  const folder = await mkdtemp(join(tmpdir(), 'meshstore-pgbouncer-'))
  const listensOn = await freePort()
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: listensOn,
    unix_socket_dir: '',
    auth_type: 'trust',
    auth_file: join(folder, 'users'),
    pool_mode: 'transaction',
    server_login_retry: 1,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  await writeFile(join(folder, 'users'), `"${username}" "${password}"\n`)
  const config = join(folder, 'pgbouncer.ini')
  await writeFile(config, `[databases]\n* = host=${hostname} port=${port}\n[pgbouncer]\n${lines.join('\n')}\n`)
  // It refuses to run as root.
  const asRoot = process.getuid?.() === 0
  if (asRoot) for (const file of [folder, config, settings.auth_file]) await chown(file, NOBODY, NOBODY)
  await chmod(folder, 0o700)
  const url = `postgres://${username}:${password}@127.0.0.1:${listensOn}${pathname}`
  const start = async () => {
    const child = spawn('pgbouncer', [config], { stdio: 'ignore', ...(asRoot && { uid: NOBODY, gid: NOBODY }) })
    await eventually('PgBouncer answers', async () => {
      const client = new pg.Client(url)
      client.on('error', () => {})
      try {
        await client.connect()
        return true
      } catch {
        return false
      } finally {
        await client.end().catch(() => {})
      }
    })
    return child
  }
  const end = async (): Promise<void> => {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }
  let child = await start()
  return {
    url: `${url}?pool_mode=transaction`,
    restart: async () => {
      await end()
      child = await start()
    },
    [Symbol.asyncDispose]: async () => {
      await end()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
