/** The valid rows of the path cache, as one session sees them: neither expired nor invalidated. */
import type { CachedPathFilter, CacheEntryOptions } from '../api.ts'
import type { Session } from '../database/session.ts'
import { given } from '../database/statement.ts'
import type { Listing } from '../repositories/pages.ts'
import type { CachedPath, PathBundle, PathKey } from '../schema/index.ts'
import { cacheKey, keysOf } from '../schema/path-bundle.ts'
import { entryOf, type NewEntry } from './arguments.ts'
import * as statements from './entry-statements.ts'
import { isInvalidated, nodesOn, parsed } from './invalidation.ts'
import { invalidationState } from './invalidation-statements.ts'
import type { PathCacheState } from './state.ts'

/** The result of a read by key. */
export interface Found {
  readonly cacheKey: string
  readonly bundle: PathBundle
  readonly expiresAt: Date
  /** See `concerningAfter`. */
  readonly invalidations: string | null
}

/** A computed bundle, and the position in the invalidations before its computation began. */
export interface Computed {
  readonly key: PathKey
  readonly bundle: PathBundle
  readonly position: string
}

type Row = CachedPath & { readonly invalidations: string | null }

interface Options {
  readonly now: () => Date
  readonly state: PathCacheState
  /** Called when a read meets pending invalidations, which slow down all reads. */
  readonly onPending: () => void
}

export class PathEntries {
  readonly #session: Session
  readonly #options: Options

  constructor(session: Session, options: Options) {
    this.#session = session
    this.#options = options
  }

  /** See `Session.readPart`. */
  get areReadWithinCall(): boolean {
    return this.#session.readPart !== undefined
  }

  /** The row if it has not expired at `by`. Pass the row to `valid()`. */
  row(key: PathKey, by: Date): Promise<Found | undefined> {
    const name = cacheKey(key)
    // A transaction may see an older row than the one that was checked.
    const after = this.#session.inTransaction ? 0 : this.#options.state.checked.upTo(name)
    const statement = after === 0 ? statements.byKey : statements.byKeyChecked
    return this.#session.readOne(statement, { cacheKey: name, now: by, after })
  }

  /** The row, unless it has been invalidated. */
  valid(found: Found | undefined, { source, destination }: PathKey): Found | undefined {
    // Hot path: no object is created.
    if (found === undefined || found.invalidations === null) return found
    const list = found.invalidations.indexOf('[')
    if (list >= 0) {
      this.#options.onPending()
      const invalidations = found.invalidations.slice(list)
      if (isInvalidated(invalidations, { source, destination, bundle: found.bundle })) return undefined
    }
    const newest = Number.parseInt(found.invalidations, 10)
    if (newest > 0 && !this.#session.inTransaction) this.#options.state.checked.note(found.cacheKey, newest)
    return found
  }

  async read(key: PathKey, by: Date): Promise<Found | undefined> {
    return this.valid(await this.row(key, by), key)
  }

  async entry(key: PathKey): Promise<CachedPath | undefined> {
    const parameters = { cacheKey: cacheKey(key), now: this.#options.now() }
    const found = await this.#session.readOne(statements.entryByKey, parameters)
    return found && this.#validEntry(found)
  }

  #validEntry({ invalidations, ...entry }: Row): CachedPath | undefined {
    if (invalidations === null) return entry
    this.#options.onPending()
    return isInvalidated(invalidations, entry) ? undefined : entry
  }

  /** The entries that are valid at `moment`, by default when each is read. Others are passed. */
  listing(filter: CachedPathFilter, moment?: Date): Listing<Row, CachedPath> {
    const keys = filter.source === undefined ? undefined : keysOf(filter.source, filter.destination)
    const behind = (after: string | undefined) => ({ after: later(after, keys?.after), before: keys?.before })
    return {
      // The keys begin with the source.
      isSelective: filter.destination !== undefined && filter.source === undefined,
      isLarge: true,
      read: (on, { after, upTo, limit }) => {
        const from = { ...filter, ...behind(after), upTo }
        const list = statements.list(given(from, statements.CONDITIONS))
        return on.read(list, { ...from, now: moment ?? this.#options.now(), limit })
      },
      keyOf: (row) => row.cacheKey,
      shown: (row) => this.#validEntry(row),
      keyAhead: async (on, { after, passed }) => {
        const from = { ...behind(after), skipped: passed - 1 }
        return (await on.readOne(statements.keyAhead(given(from, statements.AHEAD)), from))?.cacheKey
      },
    }
  }

  /** `undefined` while invalidations are pending: the caller must then check each entry. */
  async count(filter: CachedPathFilter): Promise<number | undefined> {
    const statement = statements.countMatching(given(filter, statements.FILTER_FIELDS))
    const counted = await this.#session.readOne(statement, { ...filter, now: this.#options.now() })
    return counted?.isAnyPending ? undefined : (counted?.count ?? 0)
  }

  /** Throws VALIDATION. `path` prefixes each issue's path. */
  checked(entry: NewEntry, path = ''): statements.Entry {
    const { now, state } = this.#options
    return entryOf(entry, { now: now(), ttlSeconds: state.ttlSeconds }, path)
  }

  /** The position in the invalidations: `store()` checks the later ones. */
  async position(): Promise<string> {
    return (await this.#session.readOne(invalidationState, {}))?.position ?? ''
  }

  /** Stores the bundle and returns its expiry; `undefined` if an invalidation after the position prevents that. */
  async store({ key, bundle, position }: Computed, options: CacheEntryOptions): Promise<Date | undefined> {
    const entry = this.checked({ key, bundle, ttlSeconds: options.ttlSeconds })
    const nodes = [...(nodesOn({ ...key, bundle }) ?? [])]
    const { changes } = await this.#session.write(statements.upsertUnlessInvalidated, { ...entry, position, nodes })
    return changes === 0 ? undefined : entry.expiresAt
  }

  /** Deletes the entry. Returns whether it was valid. */
  async delete(key: PathKey): Promise<boolean> {
    const parameters = { cacheKey: cacheKey(key), now: this.#options.now() }
    const { rows } = await this.#session.write(statements.remove, parameters)
    return rows.some(
      ({ live, invalidations, bundle }) =>
        Boolean(live) && !isInvalidated(invalidations, { ...key, bundle: parsed(bundle) }),
    )
  }
}

/** The later of two keys, in the order of the database. */
const later = (a = '', b = ''): string | undefined =>
  (Buffer.compare(Buffer.from(a), Buffer.from(b)) > 0 ? a : b) || undefined
