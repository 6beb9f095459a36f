import type {
  CachedPath,
  CachedPathFilter,
  ComputePaths,
  PathBundle,
  PathCacheRepository,
  PathKey,
  ResolvedPaths,
} from '../../../src/index.ts'
import { page, Rows, refuse } from './state.ts'

const escaped = (id: string): string => id.replace(/[%:]/g, (character) => (character === '%' ? '%25' : '%3A'))
const keyOf = ({ source, destination, k }: PathKey): string => `${escaped(source)}:${escaped(destination)}:${k}`

export class ModelPathCache implements PathCacheRepository {
  readonly rows = new Rows<CachedPath>()
  /** Set while the program is in a transaction. */
  inTransaction = false
  readonly #counters = { hits: 0, misses: 0, staleHits: 0, computations: 0, joined: 0 }
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
    const computed = await compute(key, { signal: new AbortController().signal })
    const { expiresAt } = this.#set(key, computed, options.ttlSeconds)
    return { bundle: computed, origin: 'computed', expiresAt }
  }

  async delete(key: PathKey) {
    const there = this.#find(key) !== undefined
    this.rows.delete(keyOf(key))
    return there
  }

  async list(options: CachedPathFilter & { limit?: number | undefined; after?: string | undefined } = {}) {
    const live = this.#matching(options).filter((row) => this.#live(row))
    return page(live, ({ cacheKey }) => cacheKey, options)
  }

  async *iterate(filter: CachedPathFilter = {}) {
    yield* this.#matching(filter).filter((row) => this.#live(row))
  }

  async count(filter: CachedPathFilter = {}) {
    return this.#matching(filter).filter((row) => this.#live(row)).length
  }

  async invalidate(filter: CachedPathFilter) {
    if (filter.source === undefined && filter.destination === undefined) refuse('VALIDATION')
    return this.#drop(this.#matching(filter))
  }

  async deleteExpired({ now = this.#now() }: { now?: Date | undefined } = {}) {
    return this.#drop(this.rows.all().filter(({ expiresAt }) => expiresAt.getTime() <= now.getTime()))
  }

  async clear() {
    return this.#drop(this.rows.all())
  }

  async stats() {
    const all = this.rows.all()
    return { entries: all.length, expired: all.filter((row) => !this.#live(row)).length, ...this.#counters }
  }
}
