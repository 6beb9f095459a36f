import type {
  CachedPath,
  CachedPathFilter,
  ComputePaths,
  InvalidationFilter,
  PathBundle,
  PathCacheRepository,
  PathKey,
  ResolvedPaths,
} from '../../../src/index.ts'
import { page, Rows, refuse } from './state.ts'

const escaped = (id: string): string => id.replace(/[%:]/g, (character) => (character === '%' ? '%25' : '%3A'))
const keyOf = ({ source, destination, k }: PathKey): string => `${escaped(source)}:${escaped(destination)}:${k}`

type Ends = Pick<CachedPath, 'source' | 'destination' | 'bundle'> & { k?: number }

function concerns(filter: InvalidationFilter & { key?: PathKey }, path: Ends): boolean {
  const { source, destination, through, key } = filter
  if (key !== undefined) return keyOf(key) === keyOf({ k: 0, ...path })
  if (source !== undefined && path.source !== source) return false
  if (destination !== undefined && path.destination !== destination) return false
  const { primary, alternatives = [] } = path.bundle
  const nodes = [path.source, path.destination, ...[...primary, ...alternatives].flatMap((each) => each.nodes)]
  return through === undefined || nodes.includes(through)
}

export class ModelPathCache implements PathCacheRepository {
  readonly rows = new Rows<CachedPath>()
  /** Set while the program is in a transaction. */
  inTransaction = false
  /** Every invalidation that was not undone. */
  readonly forgotten: InvalidationFilter[] = []
  readonly #counters = { hits: 0, misses: 0, staleHits: 0, computations: 0, joined: 0, evictions: 0 }
  readonly #now: () => Date

  constructor(now: () => Date) {
    this.#now = now
  }

  #live({ expiresAt }: CachedPath): boolean {
    return expiresAt.getTime() > this.#now().getTime()
  }

  #find(key: PathKey): CachedPath | undefined {
    const row = this.rows.get(keyOf(key))
    return row !== undefined && this.#live(row) ? row : undefined
  }

  #set(key: PathKey, bundle: PathBundle, ttlSeconds = 30): CachedPath {
    const { source, destination, k } = key
    const createdAt = this.#now()
    const expiresAt = new Date(createdAt.getTime() + Math.max(1, Math.round(ttlSeconds * 1_000)))
    return this.rows.set(keyOf(key), { cacheKey: keyOf(key), source, destination, k, bundle, createdAt, expiresAt })
  }

  #matching({ source, destination }: CachedPathFilter): CachedPath[] {
    return this.rows
      .all()
      .filter((row) => source === undefined || row.source === source)
      .filter((row) => destination === undefined || row.destination === destination)
  }

  #drop(rows: readonly CachedPath[]): number {
    return rows.filter(({ cacheKey }) => this.rows.delete(cacheKey)).length
  }

  async get<B extends PathBundle>(key: PathKey): Promise<B | undefined> {
    const found = this.#find(key)
    if (found === undefined) this.#counters.misses++
    else this.#counters.hits++
    return found?.bundle as B | undefined
  }

  async getEntry(key: PathKey) {
    return this.#find(key)
  }

  async set<B extends PathBundle>(key: PathKey, bundle: B, options: { ttlSeconds?: number | undefined } = {}) {
    return this.#set(key, bundle, options.ttlSeconds)
  }

  async setMany(entries: readonly { key: PathKey; bundle: PathBundle; ttlSeconds?: number | undefined }[]) {
    for (const { key, bundle, ttlSeconds } of entries) this.#set(key, bundle, ttlSeconds)
  }

  async getOrCompute<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options: { ttlSeconds?: number | undefined } = {},
  ): Promise<B> {
    return (await this.resolve(key, compute, options)).bundle
  }

  async resolve<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options: { ttlSeconds?: number | undefined } = {},
  ): Promise<ResolvedPaths<B>> {
    if (this.inTransaction) refuse('MISUSE')
    const found = this.#find(key)
    if (found !== undefined) {
      this.#counters.hits++
      return { bundle: found.bundle as B, origin: 'hit', expiresAt: found.expiresAt }
    }
    this.#counters.misses++
    this.#counters.computations++
    const begun = this.forgotten.length
    const computed = await compute(key, { signal: new AbortController().signal })
    const isGone = this.forgotten.slice(begun).some((filter) => concerns(filter, { ...key, bundle: computed }))
    const expiresAt = isGone ? this.#now() : this.#set(key, computed, options.ttlSeconds).expiresAt
    return { bundle: computed, origin: 'computed', expiresAt }
  }

  async delete(key: PathKey) {
    const there = this.#find(key) !== undefined
    // A computation under way for exactly this key is not stored.
    this.forgotten.push({ key } as InvalidationFilter)
    this.rows.delete(keyOf(key))
    return there
  }

  async list(options: CachedPathFilter & { limit?: number | undefined; after?: string | undefined } = {}) {
    const live = this.#matching(options).filter((row) => this.#live(row))
    return page(live, 'cacheKey', options)
  }

  async *iterate(filter: CachedPathFilter = {}) {
    yield* this.#matching(filter).filter((row) => this.#live(row))
  }

  async count(filter: CachedPathFilter = {}) {
    return this.#matching(filter).filter((row) => this.#live(row)).length
  }

  forget(filter: InvalidationFilter): number {
    this.forgotten.push(filter)
    return this.#drop(this.rows.all().filter((row) => concerns(filter, row)))
  }

  async invalidate(filter: InvalidationFilter) {
    const { source, destination, through } = filter
    if (source === undefined && destination === undefined && through === undefined) refuse('VALIDATION')
    return this.forget(filter)
  }

  async deleteExpired({ now = this.#now() }: { now?: Date | undefined } = {}) {
    return this.#drop(this.rows.all().filter(({ expiresAt }) => expiresAt.getTime() <= now.getTime()))
  }

  async clear() {
    return this.forget({})
  }

  watch(): never {
    throw new Error('The model does not announce anything.')
  }

  async sweep() {
    if (this.inTransaction) refuse('MISUSE')
    return { expired: 0, invalidated: 0, evicted: 0 }
  }

  async stats() {
    const all = this.rows.all()
    const expired = all.filter((row) => !this.#live(row)).length
    return { entries: all.length, expired, invalidation: 'topology' as const, ...this.#counters }
  }
}
