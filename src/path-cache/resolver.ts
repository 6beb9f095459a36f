import type { ComputeOptions, ComputePaths, ResolvedPaths } from '../api.ts'
import { StorageError } from '../errors.ts'
import { withinTime } from '../repositories/time-limit.ts'
import type { PathBundle, PathKey } from '../schema/index.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import { type CacheEvent, cacheTracing, tracePromise } from '../tracing.ts'
import { LONGEST_COMPUTATION_MS } from './invalidation.ts'
import type { Answer, PathCacheState } from './path-cache-state.ts'

/** What the resolver needs of the cache itself. */
export interface PathStore {
  /** What has not expired by then. */
  readonly read: (key: PathKey, by: Date) => Promise<{ bundle: PathBundle; expiresAt: Date } | undefined>
  /** What the marks have come to: what is computed from now on heeds those. */
  readonly position: () => Promise<string>
  /** Until when it is stored; `undefined` if it has been invalidated since the position, and so is not. */
  readonly store: (computed: Computed, options: ComputeOptions) => Promise<Date | undefined>
}

export interface Computed {
  readonly key: PathKey
  readonly bundle: PathBundle
  readonly position: string
}

/** One question: the key, how its paths are found, and what the caller wants. */
interface Question {
  readonly key: PathKey
  readonly name: string
  readonly compute: ComputePaths<PathBundle>
  readonly options: ComputeOptions
}

/** The computation that all who ask wait for. */
interface InFlight {
  readonly signal: AbortSignal
  /** Somebody has deleted what it is to be stored as. */
  readonly isSpoiled: () => boolean
}

/** Answers from the cache, or by a computation that all who ask share. */
export class PathResolver {
  readonly #paths: PathStore
  readonly #now: () => Date
  readonly #state: PathCacheState

  constructor(paths: PathStore, options: { now: () => Date; state: PathCacheState }) {
    this.#paths = paths
    this.#now = options.now
    this.#state = options.state
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

  /** Where an old one will do nobody has to wait, not even for a computation that is under way. */
  async #fromCache(question: Question, event: CacheEvent): Promise<ResolvedPaths<PathBundle> | undefined> {
    const { key, options } = question
    const { staleSeconds = 0, signal } = options
    if (staleSeconds === 0) return undefined
    signal?.throwIfAborted()
    const now = this.#now()
    this.#state.longestStaleSeconds = Math.max(this.#state.longestStaleSeconds, staleSeconds)
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

  /** Nobody waits for it; if it fails, the next who gets the old one tries again. */
  #refresh(question: Question): void {
    const { flights, closing } = this.#state
    if (flights.has(question.name)) return
    const run = (event: CacheEvent): Promise<Answer> =>
      flights.run(question.name, closing, (signal, isSpoiled) => this.#answer(question, event, { signal, isSpoiled }))
    const refreshed: CacheEvent = { origin: 'refreshed' }
    const running = cacheTracing.hasSubscribers ? tracePromise(cacheTracing, refreshed, run) : run(refreshed)
    running.catch(() => {})
  }

  /** All who ask at once share one look at the cache, and one computation if it finds nothing. */
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
      // It had begun before we asked, and so may not know of a change that we know of. What is under way now began later.
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
    // Before the computation looks at the topology.
    const position = await this.#paths.position()
    // Nobody waits any more.
    signal.throwIfAborted()
    this.#state.counters.computations++
    const since = clocks()
    const bundle = await withinTime(compute, key, { signal, timeoutMs: options.computeTimeoutMs })
    signal.throwIfAborted()
    const isTooOld = flight.isSpoiled() || longest(since) > LONGEST_COMPUTATION_MS
    const expiresAt = await this.#store({ key, bundle, position }, isTooOld, options, event)
    // What is not stored is good for this moment alone.
    const overtaken = event.notStored === 'INVALIDATED'
    return { bundle, expiresAt: expiresAt ?? this.#now(), cached: false, overtaken }
  }

  /** A row that another program broke is computed anew, and so replaced. */
  async #readIfSound(key: PathKey, by: Date): ReturnType<PathStore['read']> {
    try {
      return await this.#paths.read(key, by)
    } catch (error) {
      if (error instanceof StorageError && error.code === 'CORRUPT') return undefined
      throw error
    }
  }

  /** Whoever asked for paths gets them, whether or not they can be kept; unless the bundle itself is at fault. */
  async #store(
    computed: Computed,
    isTooOld: boolean,
    options: ComputeOptions,
    event: CacheEvent,
  ): Promise<Date | undefined> {
    try {
      const storedUntil = isTooOld ? undefined : await this.#paths.store(computed, options)
      if (storedUntil === undefined) event.notStored = 'INVALIDATED'
      return storedUntil
    } catch (error) {
      if (!(error instanceof StorageError) || error.code === 'VALIDATION' || error.code === 'MISUSE') throw error
      event.notStored = error.code
      return undefined
    }
  }
}

/** One stands still while the machine sleeps, by the other one marks are kept. */
const clocks = (): readonly number[] => [performance.now(), Date.now()]
const longest = (since: readonly number[]): number =>
  Math.max(...clocks().map((now, clock) => now - (since[clock] ?? now)))
