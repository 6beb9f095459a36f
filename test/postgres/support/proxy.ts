import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type Gate, gate } from '../../support/gate.ts'

/** The fate of a message, of its reply, and of the connection. */
export type Fault =
  /** The message is not passed on, and the connection reset. */
  | 'reset before'
  /** It is passed on; when the server has answered, the answer is dropped and the connection reset. */
  | 'reset after'
  /** It is not passed on, and nothing else either: the connection stays open, and silent. */
  | 'silent before'
  /** It is passed on, but no answer comes back. */
  | 'silent after'

/** A connection is reset before, in the middle of, or after a message or its answer. */
export type Cut = 'before' | 'within' | 'after' | 'within the answer'
export const CUTS: readonly Cut[] = ['before', 'within', 'after', 'within the answer']

export const FAULTS: readonly Fault[] = ['reset before', 'reset after', 'silent before', 'silent after']

/** A text in the clients' messages that is replaced by another one, which is as long. */
export interface Rewrite {
  readonly from: string
  readonly to: string
}

/** A point in a conversation that is waited for, and that nothing passes until it is opened. */
export interface Held {
  readonly reached: Promise<void>
  open(): void
}

/** A message whose client is gone, and which has not arrived. */
export interface Late {
  readonly reached: Promise<void>
  /** Passes it on. Resolves when the server has answered, or has closed the connection. */
  deliver(): Promise<void>
}

/** A TCP proxy in front of a PostgreSQL server, which spoils, holds up or changes chosen messages of its clients. */
export class FaultyProxy implements AsyncDisposable {
  /** Before each message of a client is passed on, in milliseconds. */
  delayMs = 0
  /** How many messages were spoiled. */
  injected = 0
  /** How many messages were changed on their way. */
  rewritten = 0
  #armed: { readonly fault: Fault; readonly text: string } | undefined
  #cutting: { readonly cut: Cut; left: number } | undefined
  #holding: { readonly text: string; readonly reached: Gate; readonly opened: Gate } | undefined
  #late: { readonly text: string; readonly reached: Gate; deliver: () => Promise<void> } | undefined
  #port = 0
  readonly #target: URL
  readonly #sockets = new Set<Socket>()
  readonly #clients = new Set<Socket>()
  readonly #server = createServer((client) => this.#serve(client))

  readonly #rewrite: Rewrite | undefined

  private constructor(target: string, rewrite: Rewrite | undefined) {
    this.#target = new URL(target)
    this.#rewrite = rewrite
  }

  static async before(url: string, rewrite?: Rewrite): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(url, rewrite)
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

  /** How many connections of clients there are. */
  get connections(): number {
    return this.#clients.size
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

  /** Spoils the next message that holds the text. */
  arm(fault: Fault, text: string): void {
    this.#armed = { fault, text }
  }

  /** Resets the connection of the message that comes after `passed` others. Returns a function that gives it up. */
  cut(cut: Cut, passed: number): () => void {
    this.#cutting = { cut, left: passed }
    return () => {
      this.#cutting = undefined
    }
  }

  /** The next message that holds the text, and what that client sends after it, wait. */
  hold(text: string): Held {
    const [reached, opened] = [gate(), gate()]
    this.#holding = { text, reached, opened }
    return { reached: reached.opened, open: () => opened.open() }
  }

  /** The next message that holds the text is late: its client's connection is reset, and the server's stays open. */
  late(text: string): Late {
    const late = { text, reached: gate(), deliver: async (): Promise<void> => {} }
    this.#late = late
    return { reached: late.reached.opened, deliver: () => late.deliver() }
  }

  /** Returns whether the message is kept. */
  #keep(message: Buffer, client: Socket, server: Socket): boolean {
    if (this.#late === undefined || !message.includes(this.#late.text)) return false
    const late = this.#late
    this.#late = undefined
    this.injected++
    late.deliver = () =>
      new Promise((resolve) => {
        if (server.destroyed) resolve()
        server.once('data', () => resolve()).once('close', resolve)
        server.write(message)
      })
    client.removeAllListeners('close').on('close', () => this.#clients.delete(client))
    client.resetAndDestroy()
    late.reached.open()
    return true
  }

  #serve(client: Socket): void {
    const server = connect(Number(this.#target.port), this.#target.hostname)
    const pass = this.#passageTo(server)
    let fault: Fault | undefined
    let cut: Cut | undefined
    this.#clients.add(client)
    client.on('close', () => this.#clients.delete(client))
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
    client.on('data', (message) => {
      if (this.#keep(message, client, server)) return
      if (cut !== undefined) return
      cut = this.#takeCut()
      if (cut !== undefined) {
        if (cut === 'within') server.write(message.subarray(0, message.length >> 1))
        else if (cut !== 'before') server.write(message)
        if (cut === 'before' || cut === 'within') client.resetAndDestroy()
        return
      }
      fault ??= this.#take(message)
      if (fault === 'reset before') client.resetAndDestroy()
      else if (fault !== 'silent before') pass(this.#rewritten(message))
    })
    server.on('data', (answer) => {
      if (cut === 'within the answer')
        client.write(answer.subarray(0, answer.length >> 1), () => client.resetAndDestroy())
      else if (cut !== undefined || fault === 'reset after') client.resetAndDestroy()
      else if (fault === undefined) client.write(answer)
    })
  }

  /** In their order, each as soon as it may. */
  #passageTo(server: Socket): (message: Buffer) => void {
    let last: Promise<void> | undefined
    return (message) => {
      const held = this.#takeHeld(message)
      const { delayMs } = this
      if (last === undefined && held === undefined && delayMs === 0) {
        server.write(message)
        return
      }
      const passed = Promise.resolve(last).then(async () => {
        held?.reached.open()
        await held?.opened.opened
        if (delayMs > 0) await wait(delayMs)
        server.write(message)
        if (last === passed) last = undefined
      })
      last = passed
    }
  }

  #takeHeld(message: Buffer) {
    if (this.#holding === undefined || !message.includes(this.#holding.text)) return undefined
    const held = this.#holding
    this.#holding = undefined
    return held
  }

  #rewritten(message: Buffer): Buffer {
    const at = this.#rewrite === undefined ? -1 : message.indexOf(this.#rewrite.from)
    if (this.#rewrite === undefined || at === -1) return message
    this.rewritten++
    const changed = Buffer.from(message)
    changed.write(this.#rewrite.to, at)
    return changed
  }

  #take(message: Buffer): Fault | undefined {
    if (this.#armed === undefined || !message.includes(this.#armed.text)) return undefined
    const { fault } = this.#armed
    this.#armed = undefined
    this.injected++
    return fault
  }

  #takeCut(): Cut | undefined {
    if (this.#cutting === undefined || this.#cutting.left-- > 0) return undefined
    const { cut } = this.#cutting
    this.#cutting = undefined
    this.injected++
    return cut
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.away()
  }
}
