import type { PathCacheOptions, PathCacheRepository, SweepReport } from '../api.ts'
import { StorageError } from '../errors.ts'
import type { PathBundle } from '../schema/index.ts'
import { SingleFlight } from './single-flight.ts'

const DEFAULT_TTL_SECONDS = 30
const DEFAULT_MAX_ENTRIES = 10_000
const DEFAULT_SWEEP_SECONDS = 10

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
  /** It was invalidated while it was computed; what could not be stored for another reason was not looked at. */
  readonly overtaken: boolean
}

/** What the store's path cache and those of its transactions have in common. */
export class PathCacheState {
  readonly ttlSeconds: number
  readonly maxEntries: number
  readonly sweepSeconds: number
  /** The longest that anybody has asked for: for so long what has expired is kept. */
  longestStaleSeconds = 0
  /** A reader has met marks that no sweep has dealt with. */
  onMarks: () => void = () => {}
  sweep: () => Promise<SweepReport> = () =>
    Promise.reject(new StorageError('READ_ONLY', 'The store was opened read-only.'))
  watch: PathCacheRepository['watch'] = () => {
    throw new StorageError('READ_ONLY', 'The store was opened read-only: a subscriber is noted in the database.')
  }
  readonly counters: Counters = { hits: 0, misses: 0, staleHits: 0, computations: 0, joined: 0, evictions: 0 }
  readonly flights = new SingleFlight<Answer>()
  #closing = new AbortController()

  constructor({ ttlSeconds, maxEntries, sweepSeconds }: PathCacheOptions) {
    this.ttlSeconds = ttlSeconds ?? DEFAULT_TTL_SECONDS
    this.maxEntries = maxEntries ?? DEFAULT_MAX_ENTRIES
    this.sweepSeconds = sweepSeconds ?? DEFAULT_SWEEP_SECONDS
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
