import type { ComputeOptions, ComputePaths, ResolvedPaths } from '../api.ts'
import { StorageError } from '../errors.ts'
import { performance } from '../event-loop.ts'
import type { PathBundle, PathKey } from '../schema/index.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import { type CacheEvent, cacheTracing, tracePromise } from '../tracing.ts'
import type { Computed, Found, PathEntries } from './entries.ts'
import { LONGEST_COMPUTATION_MS } from './invalidation.ts'
import type { Answer, PathCacheState } from './state.ts'
import { withinTime } from './time-limit.ts'

/** A caller's request: the key, the function that finds its paths, and the caller's options. */
interface Question {
  readonly key: PathKey
  readonly name: string
  readonly compute: ComputePaths<PathBundle>
  readonly options: ComputeOptions
}

/** The computation that all callers for a key share. */
interface InFlight {
  readonly signal: AbortSignal
  /** The key was deleted, or the data has moved, since the computation began: its result is not stored. */
  readonly isSpoiled: () => boolean
}

interface Options {
  readonly now: () => Date
  readonly state: PathCacheState
  /** Aborts when the store is closed. */
  readonly closing: () => AbortSignal
}

/** Single-flight: answers from the cache, or by a computation that concurrent callers share. */
export class PathResolver {
  readonly #entries: PathEntries
  readonly #now: () => Date
  readonly #state: PathCacheState
  readonly #closing: () => AbortSignal

  constructor(entries: PathEntries, { now, state, closing }: Options) {
    this.#entries = entries
    this.#now = now
    this.#state = state
    this.#closing = closing
  }

  async resolve<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options: ComputeOptions,
    event: CacheEvent,
  ): Promise<ResolvedPaths<B>> {
    const question: Question = { key, name: cacheKey(key), compute, options }
    const resolved = (await this.#fromCache(question, event)) ?? (await this.#together(question, event))
    return resolved as ResolvedPaths<B>
  }

  /**
   * Reads without a flight where the read is over within the call, as on SQLite: callers have nothing to share. Stale-while-revalidate:
   * with `staleSeconds` the caller gets an old bundle at once, even during a computation.
   */
  async #fromCache(question: Question, event: CacheEvent): Promise<ResolvedPaths<PathBundle> | undefined> {
    const { key, options } = question
    const { staleSeconds = 0, signal } = options
    const mayRead = this.#entries.areReadWithinCall && !this.#state.flights.has(question.name)
    if (staleSeconds === 0 && !mayRead) return undefined
    signal?.throwIfAborted()
    const now = this.#now()
    this.#state.keepExpired(staleSeconds)
    const found = await this.#readIfSound(key, new Date(now.getTime() - Math.round(staleSeconds * 1_000)))
    if (found === undefined) return undefined
    const { bundle, expiresAt } = found
    const origin = expiresAt.getTime() > now.getTime() ? 'hit' : 'stale'
    if (origin === 'hit') this.#state.counters.hits++
    else {
      this.#state.counters.staleHits++
      this.#refresh(question)
    }
    event.origin = origin
    return { bundle, origin, expiresAt }
  }

  /** Computes in the background. If the computation fails, the next caller that gets the old bundle tries again. */
  #refresh(question: Question): void {
    const { flights } = this.#state
    if (flights.has(question.name)) return
    const run = (event: CacheEvent): Promise<Answer> =>
      flights.run(question.name, this.#closing(), (signal, isSpoiled) =>
        this.#answer(question, event, { signal, isSpoiled }),
      )
    const refreshed: CacheEvent = { origin: 'refreshed' }
    const running = cacheTracing.hasSubscribers ? tracePromise(cacheTracing, refreshed, run) : run(refreshed)
    running.catch(() => {})
  }

  /** Concurrent callers share one read of the cache, and one computation on a miss. */
  async #together(question: Question, event: CacheEvent): Promise<ResolvedPaths<PathBundle>> {
    const { counters, flights } = this.#state
    const { name, options } = question
    let joining = false
    const ask = (): Promise<Answer> => {
      joining = flights.has(name)
      event.origin = joining ? 'joined' : 'computed'
      return flights.run(name, options.signal, (signal, isSpoiled) =>
        this.#answer(question, event, { signal, isSpoiled }),
      )
    }
    let cached = false
    try {
      let answer = await ask()
      // The computation had begun before this call, so it may have missed a change that the caller knows of. Compute again.
      if (joining && answer.overtaken) answer = await ask()
      cached = answer.cached
      return { bundle: answer.bundle, origin: cached ? 'hit' : 'computed', expiresAt: answer.expiresAt }
    } finally {
      if (cached) {
        counters.hits++
        event.origin = 'hit'
      } else {
        counters.misses++
        if (joining) counters.joined++
      }
    }
  }

  async #answer({ key, compute, options }: Question, event: CacheEvent, flight: InFlight): Promise<Answer> {
    const { signal } = flight
    const found = await this.#readIfSound(key, this.#now())
    if (found !== undefined) return { ...found, cached: true, overtaken: false }
    // Read the position before the computation reads the topology.
    const position = await this.#entries.position()
    // All callers may have gone meanwhile.
    signal.throwIfAborted()
    this.#state.counters.computations++
    const since = clocks()
    const bundle = await withinTime(compute, key, { signal, timeoutMs: options.computeTimeoutMs })
    signal.throwIfAborted()
    const isTooOld = flight.isSpoiled() || longest(since) > LONGEST_COMPUTATION_MS
    const expiresAt = await this.#store({ key, bundle, position }, isTooOld, options, event)
    // A bundle that is not stored expires now.
    const overtaken = event.notStored === 'INVALIDATED'
    return { bundle, expiresAt: expiresAt ?? this.#now(), cached: false, overtaken }
  }

  /** Ignores a row that another program broke: the computation replaces it. */
  async #readIfSound(key: PathKey, by: Date): Promise<Found | undefined> {
    try {
      return await this.#entries.read(key, by)
    } catch (error) {
      if (error instanceof StorageError && error.code === 'CORRUPT') return undefined
      throw error
    }
  }

  /** The callers get their paths even if these cannot be stored, unless the bundle itself is at fault. */
  async #store(
    computed: Computed,
    isTooOld: boolean,
    options: ComputeOptions,
    event: CacheEvent,
  ): Promise<Date | undefined> {
    try {
      const storedUntil = isTooOld ? undefined : await this.#entries.store(computed, this.#timeToLive(options))
      if (storedUntil === undefined) event.notStored = 'INVALIDATED'
      return storedUntil
    } catch (error) {
      if (!(error instanceof StorageError) || error.code === 'VALIDATION' || error.code === 'MISUSE') throw error
      event.notStored = error.code
      return undefined
    }
  }

  #timeToLive({ ttlSeconds = this.#state.ttlSeconds, jitter = 0 }: ComputeOptions): { ttlSeconds: number } {
    return { ttlSeconds: ttlSeconds * (1 - jitter * Math.random()) }
  }
}

/** The monotonic clock may stop while the machine sleeps; the system clock decides how long invalidations are kept. */
const clocks = (): readonly number[] => [performance.now(), Date.now()]
const longest = (since: readonly number[]): number =>
  Math.max(...clocks().map((now, clock) => now - (since[clock] ?? now)))
