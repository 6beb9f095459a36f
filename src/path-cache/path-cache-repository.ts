import type {
  CachedPathFilter,
  CacheEntryOptions,
  ComputeOptions,
  ComputePaths,
  InvalidationFilter,
  Page,
  PathCacheRepository,
  PathCacheStats,
  ResolvedPaths,
  SweepReport,
} from '../api.ts'
import type { Session } from '../database/session.ts'
import { given } from '../database/statement.ts'
import { misuse, validationError } from '../errors.ts'
import { iteratePages } from '../repositories/pages.ts'
import { invalidationOf } from '../repositories/state.ts'
import type { CachedPath, PathBundle, PathKey } from '../schema/index.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'
import { type CacheEvent, cacheTracing, tracePromise } from '../tracing.ts'
import {
  COMPUTE_RULES,
  checkedEntry,
  EXPIRY_RULES,
  entryOf,
  FILTER_RULES,
  INVALIDATION_RULES,
  LIST_RULES,
  type NewEntry,
  TTL_RULES,
  WATCH_RULES,
} from './arguments.ts'
import * as statements from './entry-statements.ts'
import { isInvalidated, nodesOn } from './invalidation.ts'
import { PathInvalidator } from './invalidator.ts'
import type { PathCacheState } from './path-cache-state.ts'
import { type Computed, PathResolver, type PathStore } from './resolver.ts'
import { standing } from './sweep-statements.ts'
import { parsed } from './sweeper.ts'

const DEFAULT_BATCH = 500

/** What a read by key gives. */
type Found = { bundle: PathBundle; expiresAt: Date; marks: string | null }

export class SqlPathCacheRepository implements PathCacheRepository {
  readonly #session: Session
  readonly #now: () => Date
  readonly #state: PathCacheState
  readonly #invalidator: PathInvalidator
  readonly #resolver: PathResolver

  constructor(session: Session, options: { now: () => Date; pathCache: PathCacheState }) {
    this.#session = session
    this.#now = options.now
    this.#state = options.pathCache
    this.#invalidator = new PathInvalidator(session)
    const paths: PathStore = {
      read: (key, by) => this.#read(key, by),
      position: () => this.#position(),
      store: (computed, compute) => this.#store(computed, compute),
    }
    this.#resolver = new PathResolver(paths, { now: options.now, state: options.pathCache })
  }

  get<B extends PathBundle = PathBundle>(key: PathKey): Promise<B | undefined> {
    let checked: PathKey
    try {
      checked = rules.checkedKey(key)
    } catch (error) {
      return Promise.reject(error)
    }
    const name = cacheKey(checked)
    return this.#session.readOne(statements.byKey, { cacheKey: name, now: this.#now() }).then((read) => {
      const found = this.#unlessInvalidated(read, checked)
      if (found === undefined) this.#state.counters.misses++
      else this.#state.counters.hits++
      // What an application stores under its own interface is what it reads.
      return found?.bundle as B | undefined
    })
  }

  #read(key: PathKey, by: Date): Promise<{ bundle: PathBundle; expiresAt: Date } | undefined> {
    const parameters = { cacheKey: cacheKey(key), now: by }
    return this.#session.readOne(statements.byKey, parameters).then((found) => this.#unlessInvalidated(found, key))
  }

  #unlessInvalidated(found: Found | undefined, { source, destination }: PathKey): Found | undefined {
    // Nearly always: the hot path makes no object.
    if (found === undefined || found.marks === null) return found
    this.#state.onMarks()
    return isInvalidated(found.marks, { source, destination, bundle: found.bundle }) ? undefined : found
  }

  async getEntry(key: PathKey): Promise<CachedPath | undefined> {
    const name = cacheKey(rules.checkedKey(key))
    const found = await this.#session.readOne(statements.entryByKey, { cacheKey: name, now: this.#now() })
    return found && this.#valid(found)
  }

  /** Without what is for us alone; `undefined` if it has been invalidated. */
  #valid({ marks, ...entry }: CachedPath & { marks: string | null }): CachedPath | undefined {
    if (marks === null) return entry
    this.#state.onMarks()
    return isInvalidated(marks, entry) ? undefined : entry
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

  #entry(entry: NewEntry, path = ''): statements.Entry {
    return entryOf(entry, { now: this.#now(), ttlSeconds: this.#state.ttlSeconds }, path)
  }

  async getOrCompute<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options?: ComputeOptions,
  ): Promise<B> {
    return (await this.resolve(key, compute, options)).bundle
  }

  async resolve<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options: ComputeOptions = {},
  ): Promise<ResolvedPaths<B>> {
    if (this.#session.inTransaction) {
      throw misuse(
        'Paths are not computed in a transaction: it would hold the writer. Call it on the store, before or after.',
      )
    }
    const checked = rules.checkedKey(key)
    rules.checkValue('compute', rules.isFunction, compute)
    rules.checkOptions('The options', COMPUTE_RULES, options)
    // Whoever joins a computation reads nothing, so that nothing else would refuse.
    const refused = this.#session.refusal()
    if (refused !== undefined) throw refused
    const run = (event: CacheEvent): Promise<ResolvedPaths<B>> =>
      this.#resolver.resolve(checked, compute, { ...options }, event)
    return cacheTracing.hasSubscribers ? tracePromise(cacheTracing, {}, run) : run({})
  }

  async #position(): Promise<string> {
    return (await this.#session.readOne(standing, {}))?.position ?? ''
  }

  async #store(
    { key, bundle, position }: Computed,
    { ttlSeconds, jitter = 0 }: ComputeOptions,
  ): Promise<Date | undefined> {
    const seconds = (ttlSeconds ?? this.#state.ttlSeconds) * (1 - jitter * Math.random())
    const entry = this.#entry({ key, bundle, ttlSeconds: seconds })
    const nodes = [...(nodesOn({ ...key, bundle }) ?? [])]
    const { changes } = await this.#session.write(statements.upsertUnlessMarked, { ...entry, position, nodes })
    return changes === 0 ? undefined : entry.expiresAt
  }

  async delete(key: PathKey): Promise<boolean> {
    const checked = rules.checkedKey(key)
    const name = cacheKey(checked)
    this.#state.flights.spoil(name)
    const { rows } = await this.#session.write(statements.remove, { cacheKey: name, now: this.#now() })
    return rows.some(
      ({ live, marks, bundle }) => Boolean(live) && !isInvalidated(marks, { ...checked, bundle: parsed(bundle) }),
    )
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

  /** Whatever of it has been invalidated: it is filled with what comes after. */
  async #page(options: CachedPathFilter & Page): Promise<CachedPath[]> {
    const { limit = rules.DEFAULT_PAGE, ...filter } = options
    const now = this.#now()
    const page: CachedPath[] = []
    for (let { after } = filter; ; ) {
      const from = { ...filter, after }
      const list = statements.list(given(from, statements.CONDITIONS))
      const rows = await this.#session.read(list, { ...from, now, limit })
      for (const row of rows) {
        const entry = this.#valid(row)
        if (entry !== undefined && page.push(entry) === limit) return page
      }
      if (rows.length < limit) return page
      after = rows.at(-1)?.cacheKey
    }
  }

  async count(filter: CachedPathFilter = {}): Promise<number> {
    rules.checkOptions('The filter', FILTER_RULES, filter)
    const parameters = { ...filter, now: this.#now() }
    const statement = statements.countMatching(given(filter, statements.FILTER_FIELDS))
    const counted = await this.#session.readOne(statement, parameters)
    if (counted === undefined || !counted.isAnyUnswept) return counted?.count ?? 0
    let count = 0
    for await (const _ of this.iterate(filter)) count++
    return count
  }

  async invalidate(filter: InvalidationFilter): Promise<number> {
    rules.checkOptions('The filter', INVALIDATION_RULES, filter ?? {})
    const { source, destination, through } = filter ?? {}
    if (source === undefined && destination === undefined && through === undefined) {
      throw validationError('The filter', [
        { path: '', message: 'must name a source, a destination or a node on the way; to drop all, use clear()' },
      ])
    }
    return this.#invalidator.invalidate({ source, destination, through })
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
    return this.#invalidator.clear()
  }

  async sweep(): Promise<SweepReport> {
    if (this.#session.inTransaction) {
      throw misuse('The cache is not swept in a transaction: it would hold the writer. Call it on the store.')
    }
    return this.#state.sweep()
  }

  watch(
    key: PathKey,
    options: { signal?: AbortSignal | undefined } = {},
  ): AsyncIterableIterator<CachedPath | undefined> {
    if (this.#session.inTransaction) {
      throw misuse('A cached path is not watched in a transaction: it sees one moment. Call it on the store.')
    }
    const checked = rules.checkedKey(key)
    rules.checkOptions('The options', WATCH_RULES, options)
    return this.#state.watch(checked, options)
  }

  async stats(): Promise<PathCacheStats> {
    const entries = await this.#session.readOne(statements.countAll, {})
    const expired = await this.#session.readOne(statements.countExpired, { now: this.#now() })
    const invalidation = await invalidationOf(this.#session)
    return { entries: entries?.count ?? 0, expired: expired?.count ?? 0, invalidation, ...this.#state.counters }
  }
}
