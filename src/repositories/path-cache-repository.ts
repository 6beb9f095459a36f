import type {
  CachedPathFilter,
  CacheEntryOptions,
  ComputeOptions,
  ComputePaths,
  Page,
  PathCacheRepository,
  PathCacheStats,
} from '../api.ts'
import type { Session } from '../database/session.ts'
import { given } from '../database/statement.ts'
import { misuse, StorageError, validationError } from '../errors.ts'
import { bundleText } from '../schema/bundle-rules.ts'
import type { CachedPath, PathBundle, PathKey } from '../schema/index.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'
import { type CacheEvent, cacheTracing, tracePromise } from '../tracing.ts'
import { iteratePages } from './pages.ts'
import * as statements from './path-cache-statements.ts'
import { SingleFlight } from './single-flight.ts'

const DEFAULT_TTL_SECONDS = 30
const DEFAULT_BATCH = 500

const TTL_RULES: rules.Rules = { ttlSeconds: rules.isTtl }
const COMPUTE_RULES: rules.Rules = { ...TTL_RULES, signal: rules.isSignal }
const FILTER_RULES: rules.Rules = { source: rules.isId, destination: rules.isId }
const LIST_RULES: rules.Rules = { ...FILTER_RULES, limit: rules.isLimit, after: rules.isStorableText }
const EXPIRY_RULES: rules.Rules = { now: rules.isTime, batchSize: rules.isLimit }

type NewEntry = { key: PathKey; bundle: PathBundle; ttlSeconds?: number | undefined }

/** Counted in this process, for the store and all its transactions. */
interface Counters {
  hits: number
  misses: number
  computations: number
  joined: number
}

interface Answer {
  readonly bundle: PathBundle
  readonly cached: boolean
}

/** What the store's path cache and those of its transactions have in common. */
export class PathCacheState {
  readonly ttlSeconds: number
  readonly counters: Counters = { hits: 0, misses: 0, computations: 0, joined: 0 }
  readonly flights = new SingleFlight<Answer>()

  constructor(options: { ttlSeconds?: number | undefined }) {
    this.ttlSeconds = options.ttlSeconds ?? DEFAULT_TTL_SECONDS
  }
}

export class SqlPathCacheRepository implements PathCacheRepository {
  readonly #session: Session
  readonly #now: () => Date
  readonly #state: PathCacheState

  constructor(session: Session, options: { now: () => Date; pathCache: PathCacheState }) {
    this.#session = session
    this.#now = options.now
    this.#state = options.pathCache
  }

  get<B extends PathBundle = PathBundle>(key: PathKey): Promise<B | undefined> {
    let name: string
    try {
      name = cacheKey(rules.checkedKey(key))
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#read(name).then((found) => {
      if (found === undefined) this.#state.counters.misses++
      else this.#state.counters.hits++
      // What an application stores under its own interface is what it reads.
      return found?.bundle as B | undefined
    })
  }

  #read(key: string): Promise<{ bundle: PathBundle } | undefined> {
    return this.#session.readOne(statements.byKey, { cacheKey: key, now: this.#now() })
  }

  async getEntry(key: PathKey): Promise<CachedPath | undefined> {
    const name = cacheKey(rules.checkedKey(key))
    return this.#session.readOne(statements.entryByKey, { cacheKey: name, now: this.#now() })
  }

  async set<B extends PathBundle>(key: PathKey, bundle: B, options: CacheEntryOptions = {}): Promise<CachedPath> {
    rules.checkOptions('The options', TTL_RULES, options)
    const entry = this.#entry({ key, bundle, ttlSeconds: options.ttlSeconds })
    await this.#session.write(statements.upsert, entry)
    return { ...entry, bundle }
  }

  async setMany(entries: readonly NewEntry[]): Promise<void> {
    if (!Array.isArray(entries)) throw validationError('The entries', [{ path: '', message: 'must be a list' }])
    const calls = Array.from(entries, (entry: unknown, index) => ({
      statement: statements.upsert,
      parameters: this.#entry(checkedEntry(entry, `[${index}]`), `[${index}]`),
    }))
    await this.#session.writeEach(calls, () => undefined)
  }

  #entry({ key, bundle, ttlSeconds = this.#state.ttlSeconds }: NewEntry, path = ''): statements.Entry {
    const { source, destination, k } = rules.checkedKey(key, path === '' ? '' : `${path}.key`)
    const text = bundleText(bundle, path === '' ? 'bundle' : `${path}.bundle`)
    const createdAt = this.#now()
    const expiresAt = new Date(createdAt.getTime() + Math.max(1, Math.round(ttlSeconds * 1000)))
    return {
      cacheKey: cacheKey({ source, destination, k }),
      source,
      destination,
      k,
      bundle: text,
      createdAt,
      expiresAt,
    }
  }

  async getOrCompute<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options: ComputeOptions = {},
  ): Promise<B> {
    if (this.#session.inTransaction) {
      throw misuse(
        'getOrCompute() would hold the writer while paths are computed. Call it on the store, before or after.',
      )
    }
    const checked = rules.checkedKey(key)
    rules.checkValue('compute', rules.isFunction, compute)
    rules.checkOptions('The options', COMPUTE_RULES, options)
    // Whoever joins a computation reads nothing, so that nothing else would refuse.
    const refused = this.#session.refusal()
    if (refused !== undefined) throw refused
    const run = (event: CacheEvent): Promise<B> => this.#getOrCompute(checked, compute, { ...options }, event)
    return cacheTracing.hasSubscribers ? tracePromise<CacheEvent, B>(cacheTracing, {}, run) : run({})
  }

  /** All who ask at once share one look at the cache, and one computation if it finds nothing. */
  async #getOrCompute<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options: ComputeOptions,
    event: CacheEvent,
  ): Promise<B> {
    const { counters, flights } = this.#state
    const name = cacheKey(key)
    const joining = flights.has(name)
    if (joining) event.origin = 'joined'
    let cached = false
    try {
      const answer = await flights.run(name, options.signal, (signal) =>
        this.#answer(key, compute, options, event, signal),
      )
      cached = answer.cached
      return answer.bundle as B
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

  async #answer<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options: ComputeOptions,
    event: CacheEvent,
    signal: AbortSignal,
  ): Promise<Answer> {
    const found = await this.#readIfSound(cacheKey(key))
    if (found !== undefined) return { bundle: found, cached: true }
    event.origin = 'computed'
    this.#state.counters.computations++
    const bundle = await compute(key, { signal })
    signal.throwIfAborted()
    await this.#store(key, bundle, options, event)
    return { bundle, cached: false }
  }

  /** A row that another program broke is computed anew, and so replaced. */
  async #readIfSound(name: string): Promise<PathBundle | undefined> {
    try {
      return (await this.#read(name))?.bundle
    } catch (error) {
      if (error instanceof StorageError && error.code === 'CORRUPT') return undefined
      throw error
    }
  }

  /** Whoever asked for paths gets them, whether or not they can be kept; unless the bundle itself is at fault. */
  async #store(key: PathKey, bundle: PathBundle, { ttlSeconds }: ComputeOptions, event: CacheEvent): Promise<void> {
    try {
      await this.set(key, bundle, { ttlSeconds })
    } catch (error) {
      if (!(error instanceof StorageError) || error.code === 'VALIDATION' || error.code === 'MISUSE') throw error
      event.notStored = error.code
    }
  }

  async delete(key: PathKey): Promise<boolean> {
    const name = cacheKey(rules.checkedKey(key))
    const { rows } = await this.#session.write(statements.remove, { cacheKey: name, now: this.#now() })
    return rows.some(({ live }) => Boolean(live))
  }

  async list(options: CachedPathFilter & Page = {}): Promise<CachedPath[]> {
    rules.checkOptions('The filter', LIST_RULES, options)
    return this.#page(options)
  }

  async *iterate(filter: CachedPathFilter = {}): AsyncGenerator<CachedPath, void, undefined> {
    rules.checkOptions('The filter', FILTER_RULES, filter)
    const fixed = { ...filter }
    yield* iteratePages(
      (position) => this.#page({ ...fixed, ...position }),
      (entry) => entry.cacheKey,
    )
  }

  #page(options: CachedPathFilter & Page): Promise<CachedPath[]> {
    const { limit = rules.DEFAULT_PAGE, ...filter } = options
    return this.#session.read(statements.list(given(filter, statements.CONDITIONS)), {
      ...filter,
      now: this.#now(),
      limit,
    })
  }

  async count(filter: CachedPathFilter = {}): Promise<number> {
    rules.checkOptions('The filter', FILTER_RULES, filter)
    const parameters = { ...filter, now: this.#now() }
    return (
      (await this.#session.readOne(statements.countMatching(given(filter, statements.FILTER_FIELDS)), parameters))
        ?.count ?? 0
    )
  }

  async invalidate(filter: CachedPathFilter): Promise<number> {
    rules.checkOptions('The filter', FILTER_RULES, filter ?? {})
    const fields = given(filter ?? {}, statements.FILTER_FIELDS)
    if (fields.length === 0) {
      throw validationError('The filter', [
        { path: '', message: 'must name a source or a destination; to drop all, use clear()' },
      ])
    }
    return (await this.#session.write(statements.removeMatching(fields), { ...filter })).changes
  }

  async deleteExpired(options: { now?: Date | undefined; batchSize?: number | undefined } = {}): Promise<number> {
    rules.checkOptions('The options', EXPIRY_RULES, options)
    const { now = this.#now(), batchSize = DEFAULT_BATCH } = options
    let deleted = 0
    for (;;) {
      const { changes } = await this.#session.write(statements.removeExpired, { now, batchSize })
      deleted += changes
      if (changes < batchSize) return deleted
    }
  }

  async clear(): Promise<number> {
    return (await this.#session.write(statements.removeAll, {})).changes
  }

  async stats(): Promise<PathCacheStats> {
    const entries = await this.#session.readOne(statements.countAll, {})
    const expired = await this.#session.readOne(statements.countExpired, { now: this.#now() })
    return { entries: entries?.count ?? 0, expired: expired?.count ?? 0, ...this.#state.counters }
  }
}

const ENTRY_RULES: rules.Rules = {
  // Looked at by those who know what they are.
  key: () => undefined,
  bundle: () => undefined,
  ttlSeconds: rules.isTtl,
}

const checkedEntry = (entry: unknown, path: string): NewEntry =>
  rules.checkedSnapshot('An entry', ENTRY_RULES, rules.snapshotOf(entry), {
    required: ['key', 'bundle'],
    path,
  }) as unknown as NewEntry
