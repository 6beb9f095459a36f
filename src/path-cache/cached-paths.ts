import type {
  CachedPathFilter,
  CacheEntryOptions,
  InvalidationFilter,
  Page,
  PathCacheStats,
  TransactionPathCache,
} from '../api.ts'
import type { Session } from '../database/session.ts'
import { misuse, validationError } from '../errors.ts'
import { iterateRows, readPage } from '../repositories/pages.ts'
import { invalidationOf } from '../repositories/state.ts'
import type { CachedPath, PathBundle, PathKey } from '../schema/index.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'
import {
  checkedEntry,
  EXPIRY_RULES,
  FILTER_RULES,
  INVALIDATION_RULES,
  LIST_RULES,
  type NewEntry,
  TTL_RULES,
} from './arguments.ts'
import { PathEntries } from './entries.ts'
import * as statements from './entry-statements.ts'
import { PathInvalidator } from './invalidator.ts'
import type { PathCacheState } from './state.ts'

const DEFAULT_BATCH = 500
const READS = { access: 'read' } as const

export interface CachedPathsOptions {
  readonly now: () => Date
  readonly state: PathCacheState
  /** See `PathEntries`. */
  readonly onPending: () => void
}

/** The methods of the path cache that work on the store and in a transaction. */
export class CachedPaths implements TransactionPathCache {
  readonly #session: Session
  readonly #now: () => Date
  readonly #state: PathCacheState
  readonly #entries: PathEntries
  readonly #invalidator: PathInvalidator

  constructor(session: Session, options: CachedPathsOptions, entries = new PathEntries(session, options)) {
    this.#session = session
    this.#now = options.now
    this.#state = options.state
    this.#entries = entries
    this.#invalidator = new PathInvalidator(session)
  }

  get<B extends PathBundle = PathBundle>(key: PathKey): Promise<B | undefined> {
    let checked: PathKey
    let now: Date
    try {
      checked = rules.checkedKey(key, READS)
      now = this.#now()
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#entries.row(checked, now).then((row) => {
      const found = this.#entries.valid(row, checked)
      if (found === undefined) this.#state.counters.misses++
      else this.#state.counters.hits++
      // The caller names the interface under which the application stored it.
      return found?.bundle as B | undefined
    })
  }

  async getEntry(key: PathKey): Promise<CachedPath | undefined> {
    return this.#entries.entry(rules.checkedKey(key, READS))
  }

  async set<B extends PathBundle>(key: PathKey, bundle: B, options: CacheEntryOptions = {}): Promise<CachedPath> {
    rules.checkOptions('The options', TTL_RULES, options)
    const entry = this.#entries.checked({ key, bundle, ttlSeconds: options.ttlSeconds })
    await this.#session.write(statements.upsert, entry)
    return { ...entry, bundle }
  }

  async setMany(entries: readonly NewEntry[]): Promise<void> {
    if (!Array.isArray(entries)) throw validationError('The entries', [{ path: '', message: 'must be a list' }])
    const calls = Array.from(entries, (entry: unknown, index) => ({
      statement: statements.upsert,
      parameters: this.#entries.checked(checkedEntry(entry, `[${index}]`), `[${index}]`),
    }))
    await this.#session.writeEach(calls, () => undefined)
  }

  async delete(key: PathKey): Promise<boolean> {
    const checked = rules.checkedKey(key)
    this.#state.flights.spoil(cacheKey(checked))
    return this.#entries.delete(checked)
  }

  async list(options: CachedPathFilter & Page = {}): Promise<CachedPath[]> {
    rules.checkOptions('The filter', LIST_RULES, options, 'read')
    const { limit = rules.DEFAULT_PAGE, after, ...filter } = options
    return readPage(this.#session, this.#entries.listing(filter, this.#now()), { after, limit })
  }

  iterate(filter: CachedPathFilter = {}): AsyncGenerator<CachedPath, void, undefined> {
    return iterateRows(this.#session, () => {
      rules.checkOptions('The filter', FILTER_RULES, filter, 'read')
      return this.#entries.listing({ ...filter })
    })
  }

  async count(filter: CachedPathFilter = {}): Promise<number> {
    rules.checkOptions('The filter', FILTER_RULES, filter, 'read')
    const counted = await this.#entries.count({ ...filter })
    if (counted !== undefined) return counted
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

  async stats(): Promise<PathCacheStats> {
    const entries = await this.#session.readOne(statements.countAll, {})
    const expired = await this.#session.readOne(statements.countExpired, { now: this.#now() })
    const invalidation = await invalidationOf(this.#session)
    return { entries: entries?.count ?? 0, expired: expired?.count ?? 0, invalidation, ...this.#state.counters }
  }
}

/** A transaction's path cache. JavaScript can still call the store's methods: they fail with MISUSE. */
export class TransactionCachedPaths extends CachedPaths {
  async getOrCompute(): Promise<never> {
    return this.resolve()
  }

  async resolve(): Promise<never> {
    throw misuse(
      'Paths are not computed in a transaction, since it would hold the writer. Call the store before or after the transaction.',
    )
  }

  async sweep(): Promise<never> {
    throw misuse('The cache is not swept in a transaction, since it would hold the writer. Call sweep() on the store.')
  }

  watch(): never {
    throw misuse('A cached path is not watched in a transaction, which sees one moment. Call watch() on the store.')
  }
}
