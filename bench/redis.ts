/** A Redis server of this run's own, on loopback, and the barest client: less work than any library's. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { whenInterrupted } from './interruption.ts'

export class NoRedis extends Error {}

/** As the server says it; nothing where there is none. */
export function redisVersion(): string[] {
  const { stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
  const [, version] = /v=([\d.]+)/.exec(stdout ?? '') ?? []
  return version === undefined ? [] : [`Redis ${version}.`]
}

export interface RedisServer {
  readonly port: number
  readonly stop: () => Promise<void>
}

/** With these settings, and otherwise its default ones. Its files are in the folder. Throws NoRedis where there is none. */
export async function startServer(folder: string, settings: readonly string[]): Promise<RedisServer> {
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...settings]
  const server = spawn('redis-server', args, { stdio: 'ignore' })
  const release = whenInterrupted(() => server.kill())
  const failed = once(server, 'error').then(([error]) => {
    throw new NoRedis(
      `redis-server does not start (${(error as NodeJS.ErrnoException).code}). Debian has it: apt-get install redis-server.`,
    )
  })
  const socket = await Promise.race([failed, connected(port)])
  socket.destroy()
  const stop = async (): Promise<void> => {
    release()
    const gone = once(server, 'exit')
    server.kill()
    await gone
  }
  return { port, stop }
}

export class Redis {
  readonly #server: RedisServer
  readonly #socket: Socket
  #received = Buffer.alloc(0)
  #waiting: ((reply: string) => void) | undefined

  private constructor(server: RedisServer, socket: Socket) {
    this.#server = server
    this.#socket = socket
    socket.on('data', (data) => {
      this.#received = this.#received.length === 0 ? data : Buffer.concat([this.#received, data])
      this.#next()
    })
  }

  /** Nothing is written to its disk: as a cache is run. Throws NoRedis where there is none. */
  static async start(folder: string): Promise<Redis> {
    const server = await startServer(folder, ['--save', '', '--appendonly', 'no'])
    return new Redis(server, await connected(server.port))
  }

  set(key: string, value: string, ttlSeconds: number): Promise<string> {
    return this.#ask(['SET', key, value, 'EX', String(ttlSeconds)])
  }

  get(key: string): Promise<string> {
    return this.#ask(['GET', key])
  }

  /** One after the other: whoever asks waits for the answer. */
  #ask(words: readonly string[]): Promise<string> {
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
    return new Promise((resolve) => {
      this.#waiting = resolve
      this.#socket.write(`*${words.length}\r\n${parts.join('')}`)
    })
  }

  #next(): void {
    const end = this.#received.indexOf('\r\n')
    if (end < 0) return
    const head = this.#received.toString('latin1', 0, end)
    const length = head.startsWith('$') ? Number(head.slice(1)) : undefined
    if (length !== undefined && this.#received.length < end + 2 + length + 2) return
    const reply = length === undefined ? head : this.#received.toString('utf8', end + 2, end + 2 + length)
    this.#received = Buffer.alloc(0)
    this.#waiting?.(reply)
  }

  async stop(): Promise<void> {
    this.#socket.destroy()
    await this.#server.stop()
  }
}

async function connected(port: number): Promise<Socket> {
  for (;;) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    try {
      await once(socket, 'connect')
      return socket
    } catch {
      await new Promise((done) => setTimeout(done, 20))
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('There is no port.')
  return address.port
}
