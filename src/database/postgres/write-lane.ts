/** Group commit: calls with keys that wait together share a transaction. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { performance, setImmediate } from '../../event-loop.ts'
import { traceRetry } from '../../tracing.ts'
import type { Call, Written } from '../session.ts'
import type { Statement, StatementCompiler } from '../statement.ts'
import { Batch, type Item, isOfPaths } from './batch.ts'
import { isBusy, isStatementTimeout, reasonOf, refusalOf } from './errors.ts'
import type { KeyedQueue, Place, Waiter } from './keyed-queue.ts'
import { keyOf, type Touched, tableOf } from './touched.ts'

/** Most calls in one batch. */
const MOST_CALLS = 500
/** Most concurrent batches. Only batches of inserts are concurrent: index searches would conflict with each other. */
const MOST_BATCHES = 4
/** Most calls in a batch of inserts: the server works on one while the next one is encoded. */
const MOST_INSERTS = 250
/** How long a batch, or half of a refused batch, waits for another session's lock, in milliseconds. */
const LOCK_MS = 20
const LOCK_MS_OF_HALF = 5
/** Most calls of a batch that took too long that run again at once. */
const MOST_ALONE = 4
/** Calls that began to wait for a lock within this many milliseconds of each other are refused together. */
const TOGETHER_MS = 5

export interface BatchLimits {
  readonly lockMs: number
  /** Until this time a conflict is retried without a limit of attempts. */
  readonly retryUntil: number
}

/**
 * `unread`: inserts that found their keys taken, and must run again to read them. `refused`: the batch was rolled back, and the
 * connection works. `splitBehind`: run the batch again in two parts.
 */
export type BatchOutcome =
  | { readonly results: Map<Item, Written<unknown, unknown>>; readonly unread: readonly Item[] }
  | { readonly refused: unknown; readonly splitBehind?: Item | undefined }

export interface LaneOptions {
  /** Runs the batch as a transaction. Rejects with errors that a smaller batch would get too, such as a lost server. */
  commit(batch: Batch, limits: BatchLimits): Promise<BatchOutcome>
  readonly busyTimeoutMs: number
  readonly statementMs: number
}

/** A running batch, as concurrent batches see it. */
interface Running {
  readonly isOfInserts: boolean
  readonly hasPaths: boolean
}

/** A call with its place in the queue, which tells it when it may run. */
class LaneCall implements Item, Waiter {
  readonly bound: Item['bound']
  readonly bulk: Item['bulk']
  readonly lookup: Item['lookup']
  readonly looks: Item['looks']
  readonly resolve: Item['resolve']
  readonly reject: Item['reject']
  readonly place: Place
  readonly #add: (item: Item) => void

  constructor(asked: Omit<Item, 'place'>, enter: (waiter: Waiter) => Place, add: (item: Item) => void) {
    this.bound = asked.bound
    this.bulk = asked.bulk
    this.lookup = asked.lookup
    this.looks = asked.looks
    this.resolve = asked.resolve
    this.reject = asked.reject
    this.#add = add
    this.place = enter(this)
  }

  ready(): void {
    this.#add(this)
  }
}

interface Again {
  readonly lockMs?: number
  /** See `Batch`. */
  readonly readsTaken?: boolean
}

const isInsert = ({ looks }: Item): boolean => looks !== undefined

export class WriteLane {
  readonly #options: LaneOptions
  readonly #queue: KeyedQueue
  readonly #compiler: StatementCompiler
  /** Batches run outside of any caller's asynchronous context. */
  readonly #outside = AsyncLocalStorage.snapshot()
  #ready: Item[] = []
  #isScheduled = false
  /** The batches that run now. */
  readonly #running = new Set<Running>()

  constructor(queue: KeyedQueue, compiler: StatementCompiler, options: LaneOptions) {
    this.#queue = queue
    this.#compiler = compiler
    this.#options = options
  }

  /** Takes the call's place at once. `lookup` is read in the same transaction if the call writes nothing. */
  write<P, R, F>(call: Call<P, R>, touched: Touched, lookup?: Statement<P, F>): Promise<Written<R, F>> {
    const { statement, parameters } = call
    const bound = this.#compiler.bind(statement, parameters)
    const bulk = this.#compiler.bulk(statement)
    const looks = statement.kind === 'inserts one row' ? this.#compiler.target(statement)?.looks : undefined
    // `looks` finds the key of an insert, for many inserts at once.
    const looking = looks === undefined && lookup ? this.#compiler.bind(lookup, parameters) : undefined
    return new Promise((resolve, reject) => {
      const enter = (waiter: Waiter): Place => this.#queue.enter('lane', touched, waiter)
      const item = new LaneCall({ bound, bulk, lookup: looking, looks, resolve, reject }, enter, this.#add)
      if (item.place.blockers === 0) this.#add(item)
    })
  }

  /** A place may become ready, be held back by a transaction, and become ready again. */
  readonly #add = (item: Item): void => {
    if (item.place.done || item.place.kind !== 'lane') return
    this.#ready.push(item)
    if (this.#isScheduled) return
    this.#isScheduled = true
    // A macrotask: calls that are made in the same turn of the event loop share a commit.
    this.#outside(() => setImmediate(() => this.#start()))
  }

  #start(): void {
    this.#isScheduled = false
    while (this.#ready.length > 0 && this.#running.size < MOST_BATCHES) {
      const items = this.#take()
      if (items.length === 0) return
      const running = { isOfInserts: items.every(isInsert), hasPaths: items.some(isOfPaths) }
      this.#running.add(running)
      void this.#run(items, performance.now() + this.#options.statementMs).finally(() => {
        this.#running.delete(running)
        this.#start()
      })
    }
  }

  /** The calls that may run now, in the order in which they became ready. */
  #take(): Item[] {
    const taken: Item[] = []
    const rows = new Set<string>()
    const left: Item[] = []
    const running = [...this.#running]
    const isAlone = running.length === 0
    if (!running.every(({ isOfInserts }) => isOfInserts)) return taken
    // A path that was stored before a topology change must not be stored after it.
    const hasPaths = running.some((each) => each.hasPaths)
    let at = 0
    let most = MOST_INSERTS
    for (; at < this.#ready.length && taken.length < most; at++) {
      const item = this.#ready[at] as Item
      const { place } = item
      if (place.blockers > 0 || place.running || place.done || place.kind !== 'lane') continue
      if (!isAlone && (!isInsert(item) || (hasPaths && !isOfPaths(item)))) break
      const row = place.rows[0]
      // Another batch works on the row.
      if (row?.lane[0]?.running && !rows.has(row.name)) left.push(item)
      else {
        if (row !== undefined) rows.add(row.name)
        if (!isInsert(item)) most = MOST_CALLS
        place.running = true
        taken.push(item)
      }
    }
    this.#ready = [...left, ...this.#ready.slice(at)]
    return taken.sort((a, b) => a.place.order - b.place.order)
  }

  /**
   * Runs a refused batch again in two halves, in the order of the calls, until each refusal concerns one call. After
   * `until` all its calls are refused.
   *
   * `FOR UPDATE SKIP LOCKED` would name a locked row sooner. But it writes to each row that is free, and a key that
   * another session is inserting is no row yet: halving would still be needed.
   */
  async #run(
    taken: readonly Item[],
    until: number,
    { lockMs = LOCK_MS, readsTaken = false }: Again = {},
  ): Promise<void> {
    // A call may now wait for another one that has left the lane.
    const items = taken.filter(({ place }) => place.running && !place.done)
    const [first] = items
    if (first === undefined) return
    let outcome: BatchOutcome
    try {
      outcome = await this.#options.commit(new Batch(items, { readsTaken }), { lockMs, retryUntil: 0 })
    } catch (error) {
      this.#refuse(items, error)
      return
    }
    if ('results' in outcome) {
      const { results, unread } = outcome
      const again = new Set(unread)
      this.#settle(again.size === 0 ? items : items.filter((item) => !again.has(item)), results)
      await this.#run(unread, until, { readsTaken: true })
      return
    }
    const { refused, splitBehind } = outcome
    const again = { lockMs: isBusy(refused) ? LOCK_MS_OF_HALF : lockMs, readsTaken }
    if (isBusy(refused)) traceRetry('commit', reasonOf(refused))
    if (splitBehind !== undefined) await this.#runParts(items, items.indexOf(splitBehind) + 1, until, again)
    else if (items.length === 1) this.#refuseOne(first, refused)
    else if (isStatementTimeout(refused)) void this.#outside(() => this.#runEach(items, refused))
    else if (performance.now() > until) this.#refuse(items, refused)
    else await this.#runParts(items, items.length >> 1, until, again)
  }

  async #runParts(items: readonly Item[], at: number, until: number, again: Again): Promise<void> {
    await this.#run(items.slice(0, at), until, again)
    await this.#run(items.slice(at), until, again)
  }

  /**
   * Which call took too long is not known, and halves would each take the time limit again. Each call leaves the lane
   * and runs by itself. A call that has not begun within one more time limit is refused.
   */
  async #runEach(items: readonly Item[], refused: unknown): Promise<void> {
    const until = performance.now() + this.#options.statementMs
    const left = items.filter(({ place }) => {
      // A later call of the same row waits for the earlier one, and is run by the lane.
      if (place.running) this.#queue.leaveLane(place)
      return place.running
    })
    const run = async (): Promise<void> => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) {
        if (performance.now() > until) this.#refuse([item], refused)
        else await this.#wait(item, refused, performance.now())
      }
    }
    await Promise.all(Array.from({ length: MOST_ALONE }, run))
  }

  /** The call meets a lock: it leaves the lane and waits on its own. */
  #refuseOne(item: Item, error: unknown): void {
    if (!isBusy(error)) {
      this.#refuse([item], error)
      return
    }
    this.#queue.leaveLane(item.place)
    const since = this.#queue.waitsForLock(item.place)
    void this.#outside(() => this.#wait(item, error, since))
  }

  /** All calls that wait behind one lock share its `busyTimeoutMs`. */
  async #wait(item: Item, first: unknown, since: number): Promise<void> {
    const { busyTimeoutMs, commit } = this.#options
    const retryUntil = since + busyTimeoutMs
    const lockMs = Math.round(retryUntil - performance.now())
    try {
      const outcome =
        lockMs < 1 ? { refused: first } : await commit(new Batch([item], { readsTaken: true }), { lockMs, retryUntil })
      if ('results' in outcome) this.#settle([item], outcome.results)
      else this.#refuse([item, ...(isBusy(outcome.refused) ? this.#alsoLate(item) : [])], outcome.refused)
    } catch (error) {
      this.#refuse([item], error)
    }
  }

  /** Calls after the item whose time has run out, too. */
  #alsoLate({ place }: Item): Item[] {
    const since = performance.now() - this.#options.busyTimeoutMs + TOGETHER_MS
    return place.rows
      .flatMap(({ lane }) => lane)
      .filter(({ running, lockedSince }) => !running && lockedSince !== undefined && lockedSince <= since)
      .flatMap(({ waiter }) => (waiter instanceof LaneCall ? waiter : []))
  }

  #settle(items: readonly Item[], results: ReadonlyMap<Item, Written<unknown, unknown>>): void {
    for (const item of items) {
      item.resolve(results.get(item) as never)
      this.#queue.finish(item.place)
    }
  }

  #refuse(items: readonly Item[], error: unknown): void {
    for (const { place, reject } of items) {
      const row = place.rows[0]?.name ?? ''
      reject(refusalOf(error, tableOf(row), [keyOf(row)]))
      this.#queue.finish(place)
    }
  }
}
