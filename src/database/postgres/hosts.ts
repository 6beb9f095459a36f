/** Finds the primary among the hosts of a URL, and ends the connections to a server that is the primary no more. */
import { isIP, Socket } from 'node:net'
import pg from 'pg'
import { StorageError } from '../../errors.ts'
import { clearTimeout, performance, setTimeout, sleep } from '../../event-loop.ts'
import { jittered } from '../backoff.ts'
import { asLost, isFinal, sqlstateOf } from './errors.ts'
import type { Host } from './url.ts'

/** A connection that owes an answer for this long is silent: the other hosts are asked. In milliseconds. */
const SILENT_MS = 1_000
const LOOK_EVERY_MS = 250
/** How long a round of questions waits for slow hosts, in milliseconds. It doubles up to the limit for connecting. */
const FIRST_ROUND_MS = 1_000
const LONGEST_PAUSE_MS = 250

interface Watched {
  readonly at: Host
  /** Parameters that the server reports by itself. */
  readonly reported: Map<string, string>
  bytes: number
  heardAt: number
}

interface Answer {
  readonly at: Host
  readonly place: string
  readonly isPrimary: boolean
  /** `undefined`: the host is a replica. */
  readonly error?: unknown
}

interface Internals {
  readonly connection: NodeJS.EventEmitter & { readonly stream: Socket }
  /** `false` or `undefined` while an answer is due. */
  readonly readyForQuery?: boolean
}
const internals = (client: pg.Client): Internals => client as unknown as Internals

export class Hosts {
  readonly #all: readonly Host[]
  readonly #config: pg.ClientConfig
  readonly #clients = new Map<pg.Client, Watched>()
  #primary: Host | undefined
  #searching: Promise<void> | undefined
  #looking: NodeJS.Timeout | undefined
  #isAsking = false
  #roundMs = FIRST_ROUND_MS

  /** `config`: the settings of every connection, but for host, port and TLS. */
  constructor(all: readonly Host[], config: pg.ClientConfig) {
    this.#all = all
    this.#config = config
    this.#primary = all.length === 1 ? all[0] : undefined
  }

  /** The class of a pool's clients: each connects to the primary of that moment. */
  client(): typeof pg.Client {
    const make = (): { config: pg.ClientConfig; at: Host } => {
      const at = this.#primary ?? (this.#all[0] as Host)
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
    const client = new pg.Client({ ...this.#config, ...(this.#primary ?? (this.#all[0] as Host)) })
    client.on('error', () => {})
    return client
  }

  #watch(client: pg.Client, at: Host): void {
    const watched: Watched = { at, reported: new Map(), bytes: 0, heardAt: performance.now() }
    this.#clients.set(client, watched)
    const { connection } = internals(client)
    noteReports(client, watched.reported)
    connection.once('end', () => this.#clients.delete(client))
    if (this.#all.length > 1) this.#looking ??= setTimeout(() => this.#look(), LOOK_EVERY_MS).unref()
  }

  /** Throws if the client's server is a replica. */
  async assertPrimary(client: pg.Client): Promise<void> {
    const watched = this.#clients.get(client)
    if (watched === undefined || !(await isReplica(client, watched.reported))) return
    this.evict(watched.at)
    throw noPrimary([{ at: watched.at, place: this.#placeOf(watched.at), isPrimary: false }])
  }

  /** Whether the server has reported that it is the primary. Proxies do not report it. */
  isKnownPrimary(client: pg.Client): boolean {
    return this.#clients.get(client)?.reported.get(IN_RECOVERY) === 'off'
  }

  /** The client's server is not the primary: ends all connections to it. */
  evictServerOf(client: pg.Client): void {
    const watched = this.#clients.get(client)
    if (watched !== undefined) this.evict(watched.at)
  }

  evict(at: Host): void {
    this.lost(at)
    for (const [client, watched] of this.#clients) if (watched.at === at) internals(client).connection.stream.destroy()
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
    const withinMs = Math.min(this.#roundMs, this.#config.connectionTimeoutMillis ?? this.#roundMs)
    this.#roundMs = 2 * withinMs
    const stop = new AbortController()
    const asked = this.#all.map((at) => this.#ask(at, withinMs, stop.signal))
    const primaries = asked.map(async (each) => {
      const { at, isPrimary } = await each
      if (!isPrimary) throw new Error('It is not the primary.')
      return at
    })
    const primary = await Promise.any(primaries).catch(() => undefined)
    stop.abort()
    if (primary === undefined) throw noPrimary(await Promise.all(asked))
    this.#primary = primary
    this.#roundMs = FIRST_ROUND_MS
  }

  #placeOf(at: Host): string {
    return `host ${this.#all.indexOf(at) + 1} of the URL`
  }

  async #ask(at: Host, withinMs: number, stop?: AbortSignal): Promise<Answer> {
    let place = this.#placeOf(at)
    const stream = (): Socket =>
      noting(new Socket(), (address) => {
        place = address
      })
    const limits = { connectionTimeoutMillis: withinMs, query_timeout: withinMs }
    const client = new pg.Client({ ...this.#config, ...at, ...limits, stream })
    const reported = new Map<string, string>()
    const destroy = (): void => void internals(client).connection.stream.destroy()
    client.on('error', () => {})
    noteReports(client, reported)
    stop?.addEventListener('abort', destroy)
    try {
      await client.connect()
      const isPrimary = !(await isReplica(client, reported))
      return { at, place, isPrimary }
    } catch (error) {
      return { at, place, isPrimary: false, error }
    } finally {
      stop?.removeEventListener('abort', destroy)
      client.end().catch(() => {})
      // A server that stands still would not close the connection.
      setTimeout(destroy, withinMs).unref()
    }
  }

  /** Looks for connections that have fallen silent, as long as there are connections. */
  #look(): void {
    this.#looking = this.#clients.size === 0 ? undefined : setTimeout(() => this.#look(), LOOK_EVERY_MS).unref()
    const now = performance.now()
    for (const [client, watched] of this.#clients) {
      const { connection, readyForQuery } = internals(client)
      const { bytesRead } = connection.stream
      if (readyForQuery === true || bytesRead !== watched.bytes) watched.heardAt = now
      watched.bytes = bytesRead
      if (now - watched.heardAt < SILENT_MS) continue
      watched.heardAt = now
      void this.#askOthers(watched.at)
    }
  }

  /** If another host has become the primary, ends all connections to the silent one. */
  async #askOthers(silent: Host): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    try {
      const others = this.#all.filter((at) => at !== silent)
      await Promise.all(
        others.map(async (other) => {
          const { at, isPrimary } = await this.#ask(other, SILENT_MS)
          if (!isPrimary) return
          this.evict(silent)
          this.#primary = at
        }),
      )
    } finally {
      this.#isAsking = false
    }
  }

  close(): void {
    clearTimeout(this.#looking)
  }
}

/** Reported since PostgreSQL 14. */
const IN_RECOVERY = 'in_hot_standby'

function noteReports(client: pg.Client, reported: Map<string, string>): void {
  internals(client).connection.on('parameterStatus', (each: { parameterName: string; parameterValue: string }) => {
    reported.set(each.parameterName, each.parameterValue)
  })
}

async function isReplica(client: pg.Client, reported: ReadonlyMap<string, string>): Promise<boolean> {
  const said = reported.get(IN_RECOVERY)
  if (said !== undefined) return said === 'on'
  // A replica refuses the session's default isolation level.
  const results: unknown = await client.query(
    'BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_is_in_recovery()::text AS said; ROLLBACK',
  )
  return (results as pg.QueryResult<{ said: string }>[])[1]?.rows[0]?.said === 'true'
}

/** Notes the addresses that are tried. Unlike a URL's host, a resolved address cannot be a misplaced password. */
export function noting(socket: Socket, note: (place: string) => void): Socket {
  return socket.on('connectionAttempt', (address: string, port: number) => {
    if (isIP(address) !== 0) note(`${isIP(address) === 6 ? `[${address}]` : address}:${port}`)
  })
}

/** Says what each host answered. If waiting cannot help, it is the first host's error. */
function noPrimary(answers: readonly Answer[]): unknown {
  const [first] = answers
  if (first !== undefined && answers.every(({ error }) => error !== undefined && isFinal(error))) return first.error
  const said = answers.map(({ place, error }) => {
    if (error === undefined) return `${place} is a replica`
    const code = sqlstateOf(error) ?? (error as { readonly code?: unknown }).code ?? 'no answer in time'
    return `${place} refused (${code})`
  })
  return new StorageError(
    'UNAVAILABLE',
    `No primary was found: ${said.join('; ')}. Nothing was written. Check the cluster, then try again.`,
    { cause: new Error('no primary') },
  )
}

/** A pool that waits while there is no primary. */
export class PatientPool extends pg.Pool {
  readonly hosts: Hosts
  /** How long `connect()` waits for a primary, in milliseconds: before the first connection, and after it. */
  readonly #patience: { readonly openingMs: number; readonly failoverMs: number }
  #hasConnected = false

  readonly #isLost: (error: unknown) => unknown

  /** `isProxied`: a proxy reports a lost server with the SQLSTATE of a refused setting. */
  constructor(
    config: pg.PoolConfig,
    hosts: Hosts,
    { isProxied, ...patience }: { openingMs: number; failoverMs: number; isProxied: boolean },
  ) {
    super({
      ...config,
      Client: hosts.client(),
      onConnect: (client) => hosts.assertPrimary(client as pg.Client),
    })
    this.hosts = hosts
    this.#isLost = isProxied ? asLost : (error) => error
    this.#patience = patience
  }

  override connect(): Promise<pg.PoolClient>
  override connect(
    callback: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: unknown) => void) => void,
  ): void
  override connect(
    callback?: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: unknown) => void) => void,
  ): Promise<pg.PoolClient> | undefined {
    const connecting = this.within()
    if (callback === undefined) return connecting
    connecting.then(
      (client) => callback(undefined, client, (release) => client.release(release as boolean)),
      (error) => callback(error, undefined, () => {}),
    )
    return undefined
  }

  /** How long a call goes on after it has lost the server, in milliseconds. */
  get failoverMs(): number {
    return this.#patience.failoverMs
  }

  /** Waits for a primary, within a limit in milliseconds, and the limit of one connection. */
  async within(milliseconds = Number.POSITIVE_INFINITY): Promise<pg.PoolClient> {
    const { openingMs, failoverMs } = this.#patience
    const deadline = performance.now() + Math.min(milliseconds, this.#hasConnected ? failoverMs : openingMs)
    for (let pause = 10; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        await this.hosts.found()
        const client = await super.connect()
        this.#hasConnected = true
        return client
      } catch (failure) {
        const error = this.#isLost(failure)
        this.hosts.lost()
        if (this.ending || isFinal(error) || performance.now() + pause > deadline) throw error
      }
      await sleep(jittered(pause))
    }
  }

  override async end(): Promise<void> {
    this.hosts.close()
    await super.end()
  }
}
