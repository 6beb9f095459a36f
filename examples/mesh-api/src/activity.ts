/** Counts the storage's calls, one sample a second, from its tracing events. The page's charts show the samples. */
import { AsyncLocalStorage } from 'node:async_hooks'
import channels from 'node:diagnostics_channel'
import type { CacheEvent, CommitEvent, Meshstore, StatementEvent } from 'meshstore'
import { Durations } from './durations.ts'

export interface Sample {
  /** When the second began, in milliseconds since the epoch. */
  readonly at: number
  readonly statements: number
  readonly commits: number
  /** The most writes that waited at once. */
  readonly waitingWrites: number
  /** Over the last `WINDOW_SECONDS`. Null: there was none. */
  readonly statementP99: number | null
  readonly commitP99: number | null
  /** Share of the requests to the path cache that it answered, from 0 to 1. */
  readonly hitRate: number | null
}

/** How far back samples go. */
export const KEPT_SECONDS = 300
/** Percentiles and shares of a single second would be those of a few calls. */
export const WINDOW_SECONDS = 10

class Second {
  readonly statements = new Durations()
  readonly commits = new Durations()
  cacheRequests = 0
  cacheHits = 0
  waitingWrites = 0
}

const NONE = new Second()

export class Activity implements Disposable {
  readonly #store: Meshstore
  readonly #now: () => number
  readonly #begun: number
  /** Seconds in which nothing happened are not in it. */
  readonly #seconds = new Map<number, Second>()
  /** Marks statements of `#look()`, which are not counted: to watch would look like work. */
  readonly #looking = new AsyncLocalStorage<true>()
  #lookedAt = Number.NEGATIVE_INFINITY
  readonly #stop: (() => void)[] = []

  constructor(store: Meshstore, now: () => number = Date.now) {
    this.#store = store
    this.#now = now
    this.#begun = this.#second()
    // The last events: the library traces faster where nobody listens to the others.
    this.#on('statement:asyncEnd', ({ milliseconds = 0 }: StatementEvent) => {
      if (this.#looking.getStore() === undefined) this.#current().statements.add(milliseconds)
    })
    this.#on('commit:start', ({ batch }: CommitEvent) => this.#waiting(batch))
    this.#on('commit:asyncEnd', ({ milliseconds = 0 }: CommitEvent) => this.#current().commits.add(milliseconds))
    this.#on('cache:asyncEnd', ({ origin }: CacheEvent) => {
      // A refresh answers nobody.
      if (origin === 'refreshed') return
      const second = this.#current()
      second.cacheRequests++
      if (origin === 'hit' || origin === 'stale') second.cacheHits++
    })
  }

  /** The whole seconds after `after`, in milliseconds since the epoch; the one that has begun is not among them. */
  since(after: number): Sample[] {
    this.#look()
    const last = this.#second() - 1
    const first = Math.max(this.#begun, last - KEPT_SECONDS + 1, Math.floor(after / 1_000) + 1)
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => this.#sample(first + index))
  }

  #sample(second: number): Sample {
    const { statements, commits, waitingWrites } = this.#seconds.get(second) ?? NONE
    const window = Array.from({ length: WINDOW_SECONDS }, (_, index) => this.#seconds.get(second - index) ?? NONE)
    const requests = window.reduce((sum, { cacheRequests }) => sum + cacheRequests, 0)
    const hits = window.reduce((sum, { cacheHits }) => sum + cacheHits, 0)
    return {
      at: second * 1_000,
      statements: statements.count,
      commits: commits.count,
      waitingWrites,
      statementP99: Durations.percentile(
        window.map((each) => each.statements),
        0.99,
      ),
      commitP99: Durations.percentile(
        window.map((each) => each.commits),
        0.99,
      ),
      hitRate: requests === 0 ? null : hits / requests,
    }
  }

  /** Asks for the length of the queue, once a second and only while somebody asks for samples. */
  #look(): void {
    const second = this.#second()
    if (second === this.#lookedAt) return
    this.#lookedAt = second
    this.#looking
      .run(true, () => this.#store.stats())
      .then(({ queuedWrites }) => this.#waiting(queuedWrites))
      // A storage that does not answer has no length to tell: /health says what is wrong.
      .catch(() => {})
  }

  #waiting(writes: number): void {
    const second = this.#current()
    second.waitingWrites = Math.max(second.waitingWrites, writes)
  }

  #second(): number {
    return Math.floor(this.#now() / 1_000)
  }

  #current(): Second {
    const number = this.#second()
    const known = this.#seconds.get(number)
    if (known !== undefined) return known
    for (const old of this.#seconds.keys()) if (old <= number - KEPT_SECONDS - WINDOW_SECONDS) this.#seconds.delete(old)
    const made = new Second()
    this.#seconds.set(number, made)
    return made
  }

  #on<E>(name: string, listener: (event: E) => void): void {
    const channel = `tracing:meshstore:${name}`
    // Only the library publishes on its channels, and only events of this type.
    const onMessage = (event: unknown): void => listener(event as E)
    channels.subscribe(channel, onMessage)
    this.#stop.push(() => channels.unsubscribe(channel, onMessage))
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop.splice(0)) stop()
  }
}
