import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type Gate, gate } from '../../../support/gate.ts'

/** A point in a conversation that is waited for, and that nothing passes until it is opened. */
export interface Held {
  readonly reached: Promise<void>
  open(): void
}

/** A TCP proxy in front of a PostgreSQL server, which stands still where a test wants to look, or is slow. */
export class GatedProxy implements AsyncDisposable {
  /** Before each message of a client is passed on, in milliseconds. */
  delayMs = 0
  readonly #target: URL
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => this.#serve(client))
  #port = 0
  #losing: string | undefined
  #armed: { readonly text: string; readonly reached: Gate; readonly opened: Gate } | undefined

  private constructor(target: string) {
    this.#target = new URL(target)
  }

  static async before(url: string): Promise<GatedProxy> {
    const proxy = new GatedProxy(url)
    await proxy.#listen()
    const address = proxy.#server.address()
    if (address !== null && typeof address === 'object') proxy.#port = address.port
    return proxy
  }

  #listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve))
  }

  /** The server's URL, through the proxy. */
  get url(): string {
    const url = new URL(this.#target)
    url.hostname = '127.0.0.1'
    url.port = String(this.#port)
    return url.href
  }

  /** The next message that holds the text, and what that client sends after it, wait. */
  hold(text: string): Held {
    const [reached, opened] = [gate(), gate()]
    this.#armed = { text, reached, opened }
    return { reached: reached.opened, open: () => opened.open() }
  }

  /** The next message that holds the text is carried out, and its answer never comes: the connection breaks. */
  loseAnswer(text: string): void {
    this.#losing = text
  }

  /** Breaks all connections, and refuses new ones until `back()`. */
  async away(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  back(): Promise<void> {
    return this.#listen()
  }

  #serve(client: Socket): void {
    const server = connect(Number(this.#target.port), this.#target.hostname)
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    let [waiting, losing] = [false, false]
    let before = Promise.resolve()
    client.on('data', (message) => {
      const held = this.#take(message)
      if (this.#losing !== undefined && message.includes(this.#losing)) {
        this.#losing = undefined
        losing = true
      }
      const { delayMs } = this
      if (held === undefined && delayMs === 0 && !waiting) {
        server.write(message)
        return
      }
      waiting = true
      const passed = before.then(async () => {
        held?.reached.open()
        await held?.opened.opened
        if (delayMs > 0) await wait(delayMs)
        server.write(message)
        if (before === passed) waiting = false
      })
      before = passed
    })
    server.on('data', (answer) => {
      if (losing) client.resetAndDestroy()
      else client.write(answer)
    })
  }

  #take(message: Buffer) {
    if (this.#armed === undefined || !message.includes(this.#armed.text)) return undefined
    const armed = this.#armed
    this.#armed = undefined
    return armed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.away()
  }
}
