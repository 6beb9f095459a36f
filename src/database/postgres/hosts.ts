/** Finds the primary among the hosts of a URL, and ends the connections to a server that is the primary no more. */
import { isIP, Socket } from 'node:net'
import pg from 'pg'
import { StorageError } from '../../errors.ts'
import { clearTimeout, performance, setTimeout, sleep } from '../../event-loop.ts'
import { isFinal, sqlstateOf } from './errors.ts'
import type { Host } from './url.ts'

/** A connection that owes an answer for this long is silent: the other hosts are asked. In milliseconds. */
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

const destroy = (client: pg.Client): void => void internals(client).connection.stream.destroy()

const LATE = new Error('no answer')

export class Hosts {
  readonly #all: readonly Host[]
  readonly #config: pg.ClientConfig
  readonly #clients = new Map<pg.Client, Watched>()
  #primary: Host | undefined
  #searching: Promise<void> | undefined
  #looking: NodeJS.Timeout | undefined
  /** The questions under way: one for each host. */
  readonly #asked = new Map<Host, { readonly answer: Promise<Answer>; readonly client: pg.Client }>()

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
    return this.#clients.get(client)?.reported.get(IN_RECOVERY) === 'off'
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
    const unanswered = this.#all.map((at): Answer => ({ at, place: this.#placeOf(at), isPrimary: false, error: LATE }))
    throw noPrimary(await Promise.all(asked.map((each, index) => Promise.race([each, unanswered[index] as Answer]))))
  }

  #placeOf(at: Host): string {
    return `host ${this.#all.indexOf(at) + 1} of the URL`
  }

  /** Joins the question that is under way, if there is one. Its limit is that of connecting. */
  #ask(at: Host): Promise<Answer> {
    const before = this.#asked.get(at)
    if (before !== undefined) return before.answer
    let place = this.#placeOf(at)
    const stream = (): Socket =>
      noting(new Socket(), (address) => {
        place = address
      })
    const client = new pg.Client({
      ...this.#config,
      ...at,
      query_timeout: this.#config.connectionTimeoutMillis,
      stream,
    })
    const reported = new Map<string, string>()
    client.on('error', () => {})
    if (!this.#isProxied) noteReports(client, reported)
    const asking = async (): Promise<Answer> => {
      try {
        await client.connect()
        const isPrimary = !(await isReplica(client, reported))
        return { at, place, isPrimary }
      } catch (error) {
        return { at, place, isPrimary: false, error }
      } finally {
        this.#asked.delete(at)
        client.end().catch(() => {})
        // A server that stands still would not close the connection.
        setTimeout(() => destroy(client), ROUND_MS).unref()
      }
    }
    const answer = asking()
    this.#asked.set(at, { answer, client })
    return answer
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
      if (now - watched.heardAt >= SILENT_MS) this.#askOthers(watched.at)
    }
  }

  /** If another host has become the primary, ends all connections to the silent one. */
  #askOthers(silent: Host): void {
    for (const other of this.#all) {
      if (other === silent || this.#asked.has(other)) continue
      void this.#ask(other).then(({ at, isPrimary }) => {
        if (!isPrimary) return
        this.#evict(silent)
        this.#primary = at
      })
    }
  }

  close(): void {
    clearTimeout(this.#looking)
    for (const { client } of this.#asked.values()) destroy(client)
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

/** Says what each host answered. Where a wait cannot help it is the first host's error. */
function noPrimary(answers: readonly Answer[]): unknown {
  const [first] = answers
  if (first !== undefined && answers.every(({ error }) => error !== undefined && isFinal(error))) return first.error
  const said = answers.map(({ place, error }) => {
    if (error === undefined) return `${place} is a replica`
    const code = sqlstateOf(error) ?? (error as { readonly code?: unknown }).code ?? 'no answer'
    return `${place} failed (${code})`
  })
  return new StorageError(
    'UNAVAILABLE',
    `No primary was found: ${said.join('; ')}. Nothing was written. Check the cluster, then try again.`,
    { cause: new Error('no primary') },
  )
}
