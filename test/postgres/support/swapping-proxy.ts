/**
 * A proxy that gives each transaction another of its few sessions, as PgBouncer does with `pool_mode=transaction`, and
 * never the same one twice in a row. https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import { createServer, type Socket } from 'node:net'
import pg from 'pg'

const AUTHENTICATION_OK = message('R', int32(0))
const READY_AND_IDLE = message('Z', Buffer.from('I'))

export interface SwappingProxyOptions {
  readonly sessions: number
  /** The fate of settings in a client's startup message: PgBouncer refuses them unless it is told otherwise. */
  readonly startupOptions: 'refused' | 'ignored'
}

interface Session {
  readonly client: pg.Client
  readonly socket: Socket
}

export class SwappingProxy implements AsyncDisposable {
  /** How many transactions there were, single statements included. */
  transactions = 0
  readonly #url: URL
  readonly #options: SwappingProxyOptions
  readonly #free: Session[] = []
  readonly #waiting: ((session: Session) => void)[] = []
  readonly #clients = new Set<Socket>()
  readonly #server = createServer((client) => this.#serve(client))

  private constructor(url: string, options: SwappingProxyOptions) {
    this.#url = new URL(url)
    this.#options = options
  }

  static async before(url: string, options: SwappingProxyOptions): Promise<SwappingProxy> {
    const proxy = new SwappingProxy(url, options)
    for (let count = 0; count < options.sessions; count++) proxy.#free.push(await logIn(url))
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    const url = new URL(this.#url)
    const address = this.#server.address()
    if (address !== null && typeof address === 'object') url.port = String(address.port)
    return url.href
  }

  #serve(client: Socket): void {
    this.#clients.add(client)
    client.on('error', () => {})
    let session: Promise<Session> | undefined
    client.on('close', () => {
      this.#clients.delete(client)
      session?.then((left) => this.#replace(left)).catch(() => {})
    })
    client.once('data', (startup) => {
      if (this.#options.startupOptions === 'refused' && startup.includes('\0options\0')) {
        client.end(refusal('08P01', 'unsupported startup parameter: options'))
        return
      }
      client.write(Buffer.concat([AUTHENTICATION_OK, READY_AND_IDLE]))
      client.on('data', async (chunk) => {
        if (chunk[0] === 'X'.charCodeAt(0)) return
        session ??= this.#take(client, () => {
          session = undefined
        })
        const { socket } = await session
        socket.write(chunk)
      })
    })
  }

  async #take(client: Socket, over: () => void): Promise<Session> {
    const session = this.#free.shift() ?? (await new Promise<Session>((resolve) => this.#waiting.push(resolve)))
    const messages = new Messages()
    const answer = (chunk: Buffer): void => {
      client.write(chunk)
      const idle = messages.read(chunk).some(({ type, body }) => type === 'Z' && body.toString() === 'I')
      if (!idle) return
      session.socket.off('data', answer)
      this.transactions++
      over()
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(session)
      else next(session)
    }
    session.socket.on('data', answer)
    session.socket.resume()
    return session
  }

  /** A session that its client left in a transaction: it is ended, as PgBouncer does. */
  async #replace({ socket }: Session): Promise<void> {
    socket.destroy()
    const session = await logIn(this.#url.href)
    if (!this.#server.listening) return void session.socket.destroy()
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(session)
    else next(session)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const client of this.#clients) client.destroy()
    for (const { socket } of this.#free) socket.destroy()
    await closed
  }
}

async function logIn(url: string): Promise<Session> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  // The driver has logged in; from now on its connection is ours.
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
  stream.removeAllListeners('data')
  return { client, socket: stream }
}

/** Cuts what a server sends into its messages. */
class Messages {
  #rest = Buffer.alloc(0)

  read(chunk: Buffer): { type: string; body: Buffer }[] {
    this.#rest = Buffer.concat([this.#rest, chunk])
    const found: { type: string; body: Buffer }[] = []
    while (this.#rest.length >= 5) {
      const length = this.#rest.readInt32BE(1) + 1
      if (this.#rest.length < length) break
      found.push({ type: String.fromCharCode(this.#rest[0] ?? 0), body: this.#rest.subarray(5, length) })
      this.#rest = this.#rest.subarray(length)
    }
    return found
  }
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

function refusal(sqlstate: string, text: string): Buffer {
  return message('E', Buffer.from(`SFATAL\0VFATAL\0C${sqlstate}\0M${text}\0\0`))
}
