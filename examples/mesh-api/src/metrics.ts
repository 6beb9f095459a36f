/** What the storage publishes on its tracing channels, and what the server does, as metrics for Prometheus. */
import { tracingChannel } from 'node:diagnostics_channel'
import type { CacheEvent, CommitEvent, Meshstore, StatementEvent, TransactionEvent } from 'meshstore'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** What each channel tells when something has ended. */
interface Events {
  readonly statement: StatementEvent
  readonly transaction: TransactionEvent
  readonly commit: CommitEvent
  readonly cache: CacheEvent
}

/** From 10 µs, a read from memory, to 5 s. */
const SECONDS = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 5]
const BATCHES = [1, 2, 5, 10, 30, 100, 300, 1_000]

export class Metrics implements Disposable {
  readonly #registry = new Registry()
  readonly #stop: (() => void)[] = []
  readonly #requests = this.#histogram('http_request_duration_seconds', 'HTTP requests', ['method', 'route', 'status'])

  readonly #sizes = {
    up: this.#gauge('meshstore_up', 'Whether the storage answers', []),
    rows: this.#gauge('meshstore_rows', 'Rows', ['table']),
    bytes: this.#gauge('meshstore_bytes', 'Size of the database', []),
    queued: this.#gauge('meshstore_queued_writes', 'Writes that wait', []),
    listeners: this.#gauge('mesh_api_listeners', 'Clients who listen for changes', []),
  }
  readonly #store: Meshstore
  readonly #feed: { readonly clients: number }

  constructor(store: Meshstore, feed: { readonly clients: number }) {
    this.#store = store
    this.#feed = feed
    collectDefaultMetrics({ register: this.#registry })
    this.#listen()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** Sizes are looked at when somebody asks. */
  async text(): Promise<string> {
    await this.#measure()
    return this.#registry.metrics()
  }

  /** `route` is the pattern, not the address: ids would make a series each. */
  request(labels: { readonly method: string; readonly route: string; readonly status: number }, seconds: number): void {
    this.#requests.observe({ ...labels }, seconds)
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop) stop()
    this.#registry.clear()
  }

  #listen(): void {
    const statements = this.#histogram('meshstore_statement_seconds', 'Statements', ['statement'])
    const transactions = this.#histogram('meshstore_transaction_seconds', 'Transactions', ['outcome'])
    const batches = this.#histogram('meshstore_commit_writes', 'Writes committed together', [], BATCHES)
    const commits = this.#histogram('meshstore_commit_seconds', 'Commits', [])
    const asked = this.#counter('meshstore_cache_requests_total', 'Questions to the path cache', ['origin'])
    const calculations = this.#counter('pathfinder_calculations_total', 'Paths that were found anew', [])
    const notStored = this.#counter('meshstore_cache_not_stored_total', 'Bundles that could not be kept', ['code'])

    this.#hear('statement', 'end', ({ name, milliseconds = 0 }) =>
      statements.observe({ statement: name }, milliseconds / 1_000),
    )
    this.#hear('transaction', 'asyncEnd', ({ error, milliseconds = 0 }) =>
      transactions.observe({ outcome: error === undefined ? 'committed' : 'rolled back' }, milliseconds / 1_000),
    )
    this.#hear('commit', 'end', ({ batch, milliseconds = 0 }) => {
      batches.observe(batch)
      commits.observe(milliseconds / 1_000)
    })
    this.#hear('cache', 'asyncEnd', ({ error, origin = 'computed', notStored: code }) => {
      asked.inc({ origin: error === undefined ? origin : 'failed' })
      if (origin === 'computed' || origin === 'refreshed') calculations.inc()
      if (code !== undefined) notStored.inc({ code })
    })
  }

  /** A storage that does not answer leaves them out. */
  async #measure(): Promise<void> {
    const { up, rows, bytes, queued, listeners } = this.#sizes
    listeners.set(this.#feed.clients)
    for (const gauge of [rows, bytes, queued]) gauge.reset()
    const stats = await this.#store.stats().catch(() => undefined)
    up.set(stats === undefined ? 0 : 1)
    if (stats === undefined) return
    for (const [table, count] of Object.entries(stats.rows)) rows.set({ table }, count)
    bytes.set(stats.bytes)
    queued.set(stats.queuedWrites)
  }

  #hear<C extends keyof Events>(channel: C, moment: 'end' | 'asyncEnd', heard: (event: Events[C]) => void): void {
    const published = tracingChannel(`meshstore:${channel}`)[moment]
    // The library's own event types say what its channels carry.
    const listener = (event: unknown): void => heard(event as Events[C])
    published.subscribe(listener)
    this.#stop.push(() => published.unsubscribe(listener))
  }

  #histogram<L extends string>(name: string, help: string, labelNames: readonly L[], buckets = SECONDS): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.#registry] })
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] })
  }

  #gauge<L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: [this.#registry] })
  }
}
