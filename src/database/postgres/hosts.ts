/** Finds the primary among the hosts of a URL, and ends the connections to a server that is the primary no more. */
import pg from 'pg'
import { present } from '../../errors.ts'
import { clearTimeout, performance, setTimeout, sleep } from '../../event-loop.ts'
import {
  type Answer,
  destroy,
  internals,
  isReplica,
  isReportedPrimary,
  noPrimary,
  noteReports,
  type Question,
  question,
} from './host-question.ts'
import type { Host } from './url.ts'

/** A connection that owes an answer for this long is silent: all hosts are asked. In milliseconds. */
const SILENT_MS = 1_000
const LOOK_EVERY_MS = 250
/** How long the other hosts wait for one that stands still, in milliseconds. A slow host's answer counts when it comes. */
const ROUND_MS = 300

interface Watched {
  readonly at: Host
  /** Parameters that the server reports by itself. */
  readonly reported: Map<string, string>
  bytes: number
  heardAt: number
}

const LATE = new Error('no answer')

export class Hosts {
  readonly #all: readonly Host[]
  readonly #config: pg.ClientConfig
  readonly #clients = new Map<pg.Client, Watched>()
  #primary: Host | undefined
  #searching: Promise<void> | undefined
  #looking: NodeJS.Timeout | undefined
  /** The questions under way: one for each host. */
  readonly #asked = new Map<Host, Question>()
  /** Hosts with silent connections, and until when their answer is waited for, whether they are the primary. */
  readonly #doubted = new Map<Host, number>()

  readonly #isProxied: boolean
  readonly #onLost: () => void

  /**
   * `onLost`: called when a server is the primary no more, or is silent. `config`: the settings of every connection, but for host, port and TLS. `isProxied`: a proxy changes the server behind a connection,
   * and goes on reporting the first one.
   */
  constructor(
    all: readonly Host[],
    config: pg.ClientConfig,
    { isProxied, onLost }: { isProxied: boolean; onLost: () => void },
  ) {
    this.#all = all
    this.#onLost = onLost
    this.#isProxied = isProxied
    this.#config = config
    this.#primary = all.length === 1 ? all[0] : undefined
  }

  /** The class of a pool's clients: each connects to the primary of that moment. */
  client(): typeof pg.Client {
    const make = (): { config: pg.ClientConfig; at: Host } => {
      const at = this.#primary ?? present(this.#all[0])
      return { at, config: { ...this.#config, ...at } }
    }
    const watch = (client: pg.Client, at: Host): void => this.#watch(client, at)
    return class extends pg.Client {
      constructor() {
        const { at, config } = make()
        super(config)
        watch(this, at)
      }
    }
  }

  /** A client beside the pool, to the primary. */
  beside(): pg.Client {
    const client = new pg.Client({ ...this.#config, ...(this.#primary ?? present(this.#all[0])) })
    client.on('error', () => {})
    return client
  }

  #watch(client: pg.Client, at: Host): void {
    const watched: Watched = { at, reported: new Map(), bytes: 0, heardAt: performance.now() }
    this.#clients.set(client, watched)
    const { connection } = internals(client)
    if (!this.#isProxied) noteReports(client, watched.reported)
    connection.once('end', () => this.#clients.delete(client))
    if (this.#all.length > 1) this.#looking ??= setTimeout(() => this.#look(), LOOK_EVERY_MS).unref()
  }

  /** Throws if the client's server is a replica. */
  async assertPrimary(client: pg.Client): Promise<void> {
    const watched = this.#clients.get(client)
    if (watched === undefined || !(await isReplica(client, watched.reported))) return
    this.#evict(watched.at)
    throw noPrimary([{ at: watched.at, place: this.#placeOf(watched.at), isPrimary: false }])
  }

  /** Whether the server has reported that it is the primary. */
  isKnownPrimary(client: pg.Client): boolean {
    return isReportedPrimary(this.#clients.get(client)?.reported)
  }

  /** The client's server is not the primary: ends all connections to it. */
  evictServerOf(client: pg.Client): void {
    const watched = this.#clients.get(client)
    if (watched !== undefined) this.#evict(watched.at)
  }

  #evict(at: Host): void {
    this.#onLost()
    this.lost(at)
    for (const [client, watched] of this.#clients) if (watched.at === at) destroy(client)
  }

  /** The next connection looks for the primary anew. */
  lost(at: Host | undefined = this.#primary): void {
    if (this.#all.length > 1 && this.#primary === at) this.#primary = undefined
  }

  /** Resolves when a primary is known. Asks all hosts at once. */
  found(): Promise<void> {
    if (this.#primary !== undefined) return Promise.resolve()
    this.#searching ??= this.#search().finally(() => {
      this.#searching = undefined
    })
    return this.#searching
  }

  async #search(): Promise<void> {
    const asked = this.#all.map((at) => this.#ask(at))
    const primaries = asked.map(async (each) => {
      const { at, isPrimary } = await each
      if (!isPrimary) throw new Error('It is not the primary.')
      return at
    })
    const late = sleep(ROUND_MS).then(() => undefined)
    const primary = await Promise.race([Promise.any(primaries), late]).catch(() => undefined)
    if (primary !== undefined) this.#primary = primary
    if (this.#primary !== undefined) return
    const unanswered = (at: Host): Answer => {
      const place = this.#asked.get(at)?.place() ?? this.#placeOf(at)
      return { at, place, isPrimary: false, error: LATE }
    }
    const answers = this.#all.map((at, index) => Promise.race([present(asked[index]), unanswered(at)]))
    throw noPrimary(await Promise.all(answers))
  }

  #placeOf(at: Host): string {
    return `host ${this.#all.indexOf(at) + 1} of the URL`
  }

  /** Joins the question that is under way, if there is one. Its limit is that of connecting. */
  #ask(at: Host): Promise<Answer> {
    const before = this.#asked.get(at)
    if (before !== undefined) return before.answer
    const asked = question(at, this.#config, { place: this.#placeOf(at), isProxied: this.#isProxied })
    this.#asked.set(at, asked)
    return asked.answer.finally(() => this.#asked.delete(at))
  }

  /** Looks for connections that have fallen silent, as long as there are connections. */
  #look(): void {
    this.#looking = this.#clients.size === 0 ? undefined : setTimeout(() => this.#look(), LOOK_EVERY_MS).unref()
    const now = performance.now()
    const silent = new Set<Host>()
    for (const [client, watched] of this.#clients) {
      const { connection, readyForQuery } = internals(client)
      const { bytesRead } = connection.stream
      if (readyForQuery === true || bytesRead !== watched.bytes) watched.heardAt = now
      watched.bytes = bytesRead
      if (now - watched.heardAt >= SILENT_MS) silent.add(watched.at)
    }
    for (const host of this.#doubted.keys()) if (!silent.has(host)) this.#doubted.delete(host)
    for (const host of silent) this.#doubt(host)
  }

  /**
   * If another host is the primary, and the silent one does not say that it is, ends all connections to the silent one. A statement
   * that takes long is silent, too, and two proxies may lead to one server.
   */
  #doubt(silent: Host): void {
    if (!this.#doubted.has(silent)) this.#doubted.set(silent, performance.now() + SILENT_MS)
    if (!this.#asked.has(silent))
      void this.#ask(silent).then(({ isPrimary }) => {
        if (isPrimary) this.#heard(silent)
        else if (this.#doubted.has(silent)) this.#doubted.set(silent, 0)
      })
    for (const other of this.#all) {
      if (other === silent || this.#asked.has(other)) continue
      void this.#ask(other).then(({ at, isPrimary }) => {
        const until = this.#doubted.get(silent) ?? Number.POSITIVE_INFINITY
        if (!isPrimary || performance.now() < until) return
        this.#evict(silent)
        this.#primary = at
      })
    }
  }

  #heard(host: Host): void {
    this.#doubted.delete(host)
    for (const watched of this.#clients.values()) if (watched.at === host) watched.heardAt = performance.now()
  }

  close(): void {
    clearTimeout(this.#looking)
    for (const { client } of this.#asked.values()) destroy(client)
  }
}
