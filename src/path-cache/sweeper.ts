import { AsyncResource } from 'node:async_hooks'
import type { SweepReport } from '../api.ts'
import type { Session } from '../database/session.ts'
import { StorageError } from '../errors.ts'
import { nextTurn } from '../event-loop.ts'
import { type SweepEvent, sweepTracing, tracePromise } from '../tracing.ts'
import * as cache from './entry-statements.ts'
import { isInvalidated, LONGEST_COMPUTATION_MS } from './invalidation.ts'
import type { PathCacheState } from './path-cache-state.ts'
import * as statements from './sweep-statements.ts'

/** Rows that are looked at, or deleted, at once: some milliseconds, after which others have their turn. */
const BATCH = 100
/** After a read has met marks, the sweep comes so soon, in milliseconds … */
const SOON_MS = 50
/** … unless the last one ended less than so many times as long ago as it took: however much changes, it takes a tenth of the time. */
const REST = 9
/** Marks are kept for longer than the longest computation, in milliseconds … */
const KEPT_MS = 2 * LONGEST_COMPUTATION_MS
/** … and the last ones whatever the clock says. The newest must stay: SQLite would give its id to another one. */
const KEPT_MARKS = 1_000

interface Options {
  readonly session: Session
  readonly state: PathCacheState
  readonly now: () => Date
  /** See `Database.earlierWritersEnded`. */
  readonly earlierWritersEnded: () => Promise<boolean>
  /** See `ChangeLog.prune`. */
  readonly pruneChanges: () => Promise<void>
}

/**
 * Deletes in the background, in small batches, what no reader gets any more: expired and invalidated paths, and those above
 * `maxEntries` that expire first.
 */
export class PathCacheSweeper {
  readonly #options: Options
  readonly #round: () => void
  #timer: NodeJS.Timeout | undefined
  #running: Promise<SweepReport> | undefined
  #stopped = true
  #soon = false
  /** When the next sweep may come, by `performance.now()`. */
  #restsUntil = 0
  /** Why the last round in the background failed, if it did. */
  failure: unknown

  constructor(options: Options) {
    this.#options = options
    // Whoever wakes it may be in a transaction, of which this is no part.
    this.#round = AsyncResource.bind(() => this.#inBackground())
  }

  start(): void {
    this.#stopped = false
    this.#plan()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  /** A reader has met marks, which make every read slower. */
  wake(): void {
    if (this.#stopped || this.#soon) return
    this.#soon = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#round, Math.max(SOON_MS, this.#restsUntil - performance.now()))
    this.#timer.unref()
  }

  /** Processes that were started together sweep apart. */
  #plan(): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    const { sweepSeconds } = this.#options.state
    this.#timer = setTimeout(this.#round, sweepSeconds * 1_000 * (0.75 + Math.random() / 2))
    this.#timer.unref()
  }

  #inBackground(): void {
    this.#soon = false
    const begun = performance.now()
    const rest = (): void => {
      this.#restsUntil = performance.now() + REST * (performance.now() - begun)
    }
    this.#traced('timer')
      .finally(rest)
      .then(
        () => {
          this.failure = undefined
          this.#plan()
        },
        (error) => {
          if (!this.#stopped) this.failure = error
          this.#plan()
        },
      )
  }

  /** All that is due now. Joins a round that is under way. */
  sweep(): Promise<SweepReport> {
    return this.#traced('call')
  }

  #traced(trigger: SweepEvent['trigger']): Promise<SweepReport> {
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
    await this.#options.pruneChanges()
    return { expired, invalidated, evicted }
  }

  async #deleteExpired(): Promise<number> {
    const { session, state, now } = this.#options
    // What has expired may serve as a stale answer for a while.
    const before = new Date(now().getTime() - Math.round(state.longestStaleSeconds * 1_000))
    return this.#inBatches(async () => {
      const due = await session.readOne(cache.firstExpired, { now: before })
      if (due === undefined) return 0
      return (await session.write(cache.removeExpired, { now: before, batchSize: BATCH })).changes
    })
  }

  async #evict(): Promise<number> {
    const { session, state } = this.#options
    const evicted = await this.#inBatches(async () => {
      const { maxEntries } = state
      if ((await session.readOne(cache.firstAbove, { maxEntries })) === undefined) return 0
      return (await session.write(cache.removeAbove, { maxEntries, batchSize: BATCH })).changes
    })
    state.counters.evictions += evicted
    return evicted
  }

  async #deleteInvalidated(): Promise<number> {
    const { session, earlierWritersEnded } = this.#options
    const standing = await session.readOne(statements.standing, {})
    if (standing === undefined) return 0
    const { position, isAnyUnswept, newest } = standing
    if (!isAnyUnswept) {
      await this.#purge(Number(newest ?? 0))
      return 0
    }
    return sweepInvalidated(session, { position, earlierWritersEnded, betweenBatches: () => this.#assertRunning() })
  }

  async #purge(newest: number): Promise<void> {
    const { session } = this.#options
    const stamp = await session.readOne(statements.anyStamp, {})
    if (stamp !== undefined) {
      await this.#inBatches(async () => (await session.write(statements.removeStamps, { batchSize: BATCH })).changes)
    }
    // By the machine's clock, as the triggers tell the time.
    const old = { upTo: newest - KEPT_MARKS, before: new Date(Date.now() - KEPT_MS) }
    await this.#inBatches(async () => {
      const due = await session.readOne(statements.firstMarkUpTo, old)
      return due === undefined ? 0 : (await session.write(statements.removeMarks, { ...old, batchSize: BATCH })).changes
    })
  }

  /** Until a batch finds nothing. */
  async #inBatches(batch: () => Promise<number>): Promise<number> {
    for (let total = 0; ; ) {
      this.#assertRunning()
      const changes = await batch()
      if (changes === 0) return total
      total += changes
      await nextTurn()
    }
  }

  #assertRunning(): void {
    if (this.#stopped) throw new StorageError('CLOSED', 'The store is closed.')
  }
}

interface Sweeping {
  /** Marks up to it. */
  readonly position: string
  readonly earlierWritersEnded: () => Promise<boolean>
  readonly betweenBatches?: () => void
}

/** Deletes the paths that marks have invalidated: then those are out of every read's way. */
export async function sweepInvalidated(session: Session, sweeping: Sweeping): Promise<number> {
  const { position, earlierWritersEnded, betweenBatches } = sweeping
  // Who has not seen the marks may still write paths that are older than they are: then they are looked at again.
  const complete = await earlierWritersEnded()
  const deleted = await deletePaths(session, (row) => isInvalidated(row.marks, row), betweenBatches)
  if (complete) await session.write(statements.finish, { position, swept: true })
  return deleted
}

export interface SweptPaths {
  readonly source: string
  readonly destination: string
  /** Parsed; `undefined` for what is no JSON. */
  readonly bundle: unknown
  readonly marks: string | null
}

/** Deletes those of all paths that a mark concerns and that `isGone` says. The marks stay as they are. */
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

/** `undefined` for what is no JSON: of another program. */
export function parsed(bundle: unknown): unknown {
  try {
    return JSON.parse(String(bundle))
  } catch {
    return undefined
  }
}
