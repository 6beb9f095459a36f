/** Most paths that are remembered. A key has some 40 characters. */
const MOST = 10_000

/**
 * Up to which invalidation each path was checked. While invalidations are pending, a read then looks at the later ones alone: without
 * this, each read of each path would look at all of them.
 *
 * A position stays true when the path is replaced. The database notes with the new row which invalidations were committed before it
 * (`path_cache_stamps`), and those are at least as many. Only positions that were read outside of a transaction may be noted: a
 * rollback gives ids again, and an older snapshot has an older row.
 */
export class CheckedPaths {
  readonly #newest = new Map<string, number>()

  /** 0 if the path was never checked. */
  upTo(cacheKey: string): number {
    // Mostly nothing is pending, and then the key's hash need not be computed.
    return this.#newest.size === 0 ? 0 : (this.#newest.get(cacheKey) ?? 0)
  }

  note(cacheKey: string, newest: number): void {
    if (this.#newest.size >= MOST && !this.#newest.has(cacheKey)) this.#newest.clear()
    this.#newest.set(cacheKey, newest)
  }
}
