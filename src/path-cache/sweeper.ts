import type { SweepReport } from '../api.ts'
import type { Session } from '../database/session.ts'
import { machineTime, nextTurn } from '../event-loop.ts'
import { type SweepEvent, sweepTracing, tracePromise } from '../tracing.ts'
import * as cache from './entry-statements.ts'
import { isInvalidated, LONGEST_COMPUTATION_MS, parsed } from './invalidation.ts'
import * as statements from './invalidation-statements.ts'
import type { PathCacheState } from './state.ts'

/** Rows read or deleted between two yields to the event loop: some milliseconds. */
const BATCH = 100
/** Invalidations are kept for longer than the longest computation, in milliseconds. */
const KEPT_MS = 2 * LONGEST_COMPUTATION_MS
/** The newest invalidations are kept at any age. If the newest one were deleted, SQLite would reuse its id. */
const KEPT_INVALIDATIONS = 1_000

interface Options {
  readonly session: Session
  readonly state: PathCacheState
  readonly now: () => Date
  /** Aborts when the store is closed. */
  readonly closing: () => AbortSignal
  /** See `Database.earlierWritersEnded`. */
  readonly earlierWritersEnded: () => Promise<boolean>
}

/**
 * Deletes expired and invalidated paths in small batches, and the paths above `maxEntries` that expire first.
 */
export class PathCacheSweeper {
  readonly #options: Options
  #running: Promise<SweepReport> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Sweeps now, or joins a running sweep. */
  sweep(trigger: SweepEvent['trigger']): Promise<SweepReport> {
    this.#running ??= tracePromise(sweepTracing, { trigger }, async (event: SweepEvent) => {
      const report = await this.#sweep()
      return Object.assign(event, report) && report
    }).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #sweep(): Promise<SweepReport> {
    const expired = await this.#deleteExpired()
    const invalidated = await this.#deleteInvalidated()
    const evicted = await this.#evict()
    return { expired, invalidated, evicted }
  }

  async #deleteExpired(): Promise<number> {
    const { session, state, now } = this.#options
    // An expired path may serve as a stale answer for a while.
    const before = new Date(now().getTime() - Math.round(state.longestStaleSeconds * 1_000))
    return this.#inBatches(async () => {
      const due = await session.readOne(cache.firstExpired, { now: before })
      if (due === undefined) return 0
      return (await session.write(cache.removeExpired, { now: before, batchSize: BATCH })).changes
    })
  }

  async #evict(): Promise<number> {
    const { session, state } = this.#options
    const { maxEntries } = state
    const evicted = await this.#inBatches(async () => {
      if ((await session.readOne(cache.firstAbove, { maxEntries })) === undefined) return 0
      return (await session.write(cache.removeAbove, { maxEntries, batchSize: BATCH })).changes
    })
    state.counters.evictions += evicted
    return evicted
  }

  async #deleteInvalidated(): Promise<number> {
    const { session, earlierWritersEnded } = this.#options
    const found = await session.readOne(statements.invalidationState, {})
    if (found === undefined) return 0
    const { position, isAnyPending, newest } = found
    if (!isAnyPending) {
      await this.#purge(Number(newest ?? 0))
      return 0
    }
    return sweepInvalidated(session, { position, earlierWritersEnded, betweenBatches: () => this.#assertOpen() })
  }

  async #purge(newest: number): Promise<void> {
    const { session } = this.#options
    if ((await session.readOne(statements.anySeenPosition, {})) !== undefined) {
      await this.#inBatches(
        async () => (await session.write(statements.removeSeenPositions, { batchSize: BATCH })).changes,
      )
    }
    // The triggers write the machine's time, whatever the store's clock says.
    const old = { upTo: newest - KEPT_INVALIDATIONS, before: new Date(machineTime().getTime() - KEPT_MS) }
    await this.#inBatches(async () => {
      if ((await session.readOne(statements.firstUpTo, old)) === undefined) return 0
      return (await session.write(statements.removeUpTo, { ...old, batchSize: BATCH })).changes
    })
  }

  /** Repeats `batch` until it finds nothing. Returns the total. */
  async #inBatches(batch: () => Promise<number>): Promise<number> {
    for (let total = 0; ; ) {
      this.#assertOpen()
      const changes = await batch()
      if (changes === 0) return total
      total += changes
      await nextTurn()
    }
  }

  #assertOpen(): void {
    this.#options.closing().throwIfAborted()
  }
}

interface Sweeping {
  /** Sweeps the invalidations up to this position. */
  readonly position: string
  readonly earlierWritersEnded: () => Promise<boolean>
  readonly betweenBatches?: () => void
}

/** Deletes the paths that pending invalidations concern, then marks the invalidations as done: reads get fast again. */
export async function sweepInvalidated(session: Session, sweeping: Sweeping): Promise<number> {
  const { position, earlierWritersEnded, betweenBatches } = sweeping
  // A writer that does not see the invalidations may yet store older paths. Then they stay pending for the next sweep.
  const complete = await earlierWritersEnded()
  const deleted = await deletePaths(session, (row) => isInvalidated(row.invalidations, row), betweenBatches)
  if (complete) await session.write(statements.finish, { position, swept: true })
  return deleted
}

interface SweptPaths {
  readonly source: string
  readonly destination: string
  /** Parsed; `undefined` if the text is not JSON. */
  readonly bundle: unknown
  readonly invalidations: string | null
}

/** Deletes the paths that pending invalidations concern and that `isGone` selects. The invalidations stay pending. */
export async function deletePaths(
  session: Session,
  isGone: (paths: SweptPaths) => boolean,
  betweenBatches: () => void = () => {},
): Promise<number> {
  let deleted = 0
  for (let after = ''; ; ) {
    betweenBatches()
    const rows = await session.read(statements.page, { after, limit: BATCH })
    const gone = rows.filter((row) => isGone({ ...row, bundle: parsed(row.bundle) }))
    if (gone.length > 0) {
      const cacheKeys = gone.map(({ cacheKey }) => cacheKey)
      deleted += (await session.write(statements.removeConcerned, { cacheKeys })).changes
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < BATCH) return deleted
    after = last.cacheKey
    await nextTurn()
  }
}
