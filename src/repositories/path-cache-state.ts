import type { PathCacheOptions } from '../api.ts'
import { StorageError } from '../errors.ts'
import type { PathBundle } from '../schema/index.ts'
import { SingleFlight } from './single-flight.ts'

export const DEFAULTS = { ttlSeconds: 30, maxEntries: 10_000, sweepSeconds: 60, invalidation: 'topology' } as const

/** Counted in this process, for the store and all its transactions. */
interface Counters {
  hits: number
  misses: number
  staleHits: number
  computations: number
  joined: number
  evictions: number
}

/** What a computation, or the look at the cache before it, came to. */
export interface Answer {
  readonly bundle: PathBundle
  readonly expiresAt: Date
  readonly cached: boolean
}

/** What the store's path cache and those of its transactions have in common. */
export class PathCacheState {
  readonly ttlSeconds: number
  readonly maxEntries: number
  readonly counters: Counters = { hits: 0, misses: 0, staleHits: 0, computations: 0, joined: 0, evictions: 0 }
  readonly flights = new SingleFlight<Answer>()
  #keepSeconds = 0
  #closing = new AbortController()

  constructor({ ttlSeconds, maxEntries }: PathCacheOptions) {
    this.ttlSeconds = ttlSeconds ?? DEFAULTS.ttlSeconds
    this.maxEntries = maxEntries ?? DEFAULTS.maxEntries
  }

  /** For so long somebody may want an entry that has expired: the sweep leaves it. */
  get keepSeconds(): number {
    return this.#keepSeconds
  }

  keepFor(staleSeconds: number): void {
    this.#keepSeconds = Math.max(this.#keepSeconds, staleSeconds)
  }

  /** The patience of what is computed though nobody waits for it: until the store is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  stop(): void {
    this.#closing.abort(new StorageError('CLOSED', 'The store is closed.'))
  }

  start(): void {
    this.#closing = new AbortController()
  }
}
