/**
 * `load.ts URL SECONDS CLIENTS`: a shop's load on a mesh API. Each client asks for one thing after the other: 90 % paths, 8 %
 * nodes, 2 % changes of nodes. Prints what came of it as JSON, times in milliseconds.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { summaryOf } from '../statistics.ts'

/** Besides the example's own, which the paths lead through. */
const NODES = 500
const EXAMPLE_NODES = 11
const [, , url = '', seconds = '', clients = ''] = process.argv
const { hostname, port, host } = new URL(url)

const bodyOf = (method: string, path: string, body?: object): string => {
  const text = body === undefined ? '' : JSON.stringify(body)
  const head = [`${method} ${path} HTTP/1.1`, `host: ${host}`]
  if (body !== undefined) head.push('content-type: application/json', `content-length: ${text.length}`)
  return `${head.join('\r\n')}\r\n\r\n${text}`
}

/** One connection: the barest HTTP client, so that the load takes little from the server. */
class Client {
  readonly #socket: Socket
  #received = Buffer.alloc(0)
  #answered: PromiseWithResolvers<number> | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (data) => {
      this.#received = this.#received.length === 0 ? data : Buffer.concat([this.#received, data])
      this.#look()
    })
    socket.on('close', () => this.#answered?.reject(new Error('The server closed a connection.')))
  }

  static async open(): Promise<Client> {
    const socket = connect({ port: Number(port), host: hostname, noDelay: true })
    await once(socket, 'connect')
    return new Client(socket)
  }

  /** Resolves with the status when the whole answer is there. */
  request(text: string): Promise<number> {
    this.#answered = Promise.withResolvers()
    this.#socket.write(text)
    return this.#answered.promise
  }

  close(): void {
    this.#answered = undefined
    this.#socket.destroy()
  }

  #look(): void {
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = this.#received.toString('latin1', 0, end)
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1])
    if (Number.isNaN(length)) throw new Error(`An answer without a length: ${head.slice(0, 40)}`)
    if (this.#received.length < end + 4 + length) return
    this.#received = Buffer.alloc(0)
    this.#answered?.resolve(Number(head.slice(9, 12)))
  }
}

const nodeId = (n: number): string => `shop-${n % NODES}`
const pathOf = (n: number): string => {
  const source = n % EXAMPLE_NODES
  const destination = (source + 1 + (Math.floor(n / EXAMPLE_NODES) % (EXAMPLE_NODES - 1))) % EXAMPLE_NODES
  return bodyOf('GET', `/mesh/paths?source=abilene-${source}&destination=abilene-${destination}&k=3`)
}
const readOf = (n: number): string => bodyOf('GET', `/mesh/nodes/${nodeId(n * 7)}`)
const writeOf = (n: number): string =>
  bodyOf('PATCH', `/mesh/nodes/${nodeId(n * 11)}`, { interfaces: ['wlan0', `mesh${n % 1_000}`] })

/** One request of 50 writes, four read a node, and the others ask for a path. */
const requestOf = (n: number): string => {
  const place = n % 50
  if (place === 7) return writeOf(n)
  return place % 12 === 0 && place < 48 ? readOf(n) : pathOf(n)
}

const all = await Promise.all(Array.from({ length: Number(clients) }, () => Client.open()))
const [first] = all
if (first === undefined) throw new Error('No clients.')
for (let n = 0; n < NODES; n++) {
  const body = { node_id: nodeId(n), interfaces: ['wlan0'], protocols: ['batman-adv'] }
  const status = await first.request(bodyOf('POST', '/mesh/nodes', body))
  if (status !== 201) throw new Error(`A node was not stored: ${status}`)
}
for (let n = 0; n < EXAMPLE_NODES * (EXAMPLE_NODES - 1); n++) await first.request(pathOf(n))
process.send?.('begun')

const times: number[] = []
let failed = 0
const end = performance.now() + Number(seconds) * 1_000
const begun = performance.now()
await Promise.all(
  all.map(async (client, which) => {
    for (let n = which * 7_919; performance.now() < end; n++) {
      const at = performance.now()
      const status = await client.request(requestOf(n))
      times.push(performance.now() - at)
      if (status !== 200) failed++
    }
  }),
)
const took = performance.now() - begun
for (const client of all) client.close()
const { p50, p99 } = summaryOf(times)
process.send?.({ perSecond: (times.length * 1_000) / took, requests: times.length, p50, p99, failed })
process.disconnect?.()
