import type { PathCacheOptions } from '../api.ts'
import type { PathBundle } from '../schema/index.ts'
import { CheckedPaths } from './checked-paths.ts'
import { SingleFlight } from './single-flight.ts'

const DEFAULT_TTL_SECONDS = 30
const DEFAULT_MAX_ENTRIES = 10_000

/** Counted in this process, for the store and all its transactions. */
interface Counters {
  hits: number
  misses: number
  staleHits: number
  computations: number
  joined: number
  evictions: number
}

/** The result of a computation, or of the cache read that precedes it. */
export interface Answer {
  readonly bundle: PathBundle
  readonly expiresAt: Date
  readonly cached: boolean
  /** The bundle was invalidated during its computation. `false` if it was not stored for another reason. */
  readonly overtaken: boolean
}

/** State that the store's path cache shares with its transactions' path caches. */
export class PathCacheState {
  readonly ttlSeconds: number
  readonly maxEntries: number
  readonly counters: Counters = { hits: 0, misses: 0, staleHits: 0, computations: 0, joined: 0, evictions: 0 }
  readonly flights = new SingleFlight<Answer>()
  readonly checked = new CheckedPaths()
  #longestStaleSeconds = 0

  constructor({ ttlSeconds, maxEntries }: PathCacheOptions) {
    this.ttlSeconds = ttlSeconds ?? DEFAULT_TTL_SECONDS
    this.maxEntries = maxEntries ?? DEFAULT_MAX_ENTRIES
  }

  /** The sweep keeps expired paths for this long: the longest `staleSeconds` that a caller has asked for. */
  get longestStaleSeconds(): number {
    return this.#longestStaleSeconds
  }

  keepExpired(seconds: number): void {
    this.#longestStaleSeconds = Math.max(this.#longestStaleSeconds, seconds)
  }
}
