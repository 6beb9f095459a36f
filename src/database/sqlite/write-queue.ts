import { AsyncLocalStorage } from 'node:async_hooks'
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../../errors.ts'
import { performance, setImmediate, setTimeout, sleep } from '../../event-loop.ts'
import { type CommitEvent, commitTracing, traceRefusal, traceRetry, traceSync } from '../../tracing.ts'
import { jittered, nextPause } from '../backoff.ts'
import type { Call, Written } from '../session.ts'
import type { BoundStatement } from '../statement.ts'
import { isBusy, isConstraint, translated, translatedCommit } from './errors.ts'

/** Limits of a group commit: its writes, and the milliseconds after which it begins no further write. */
const BATCH_WRITES = 1_000
const BATCH_MS = 10
/**
 * Fairness between processes: after 50 ms of constant writing the queue releases the lock for 1 ms. Otherwise another
 * process could take the lock only by chance, between two commits.
 */
const FAIR_AFTER_MS = 50
const FAIR_PAUSE_MS = 1

export interface QueuedWrite {
  /** The statement, if `run` runs nothing else: it may run together with its neighbours. */
  readonly bound?: BoundStatement<unknown> | undefined
  /** Goes before the waiting writes, also when too many wait. */
  readonly ahead?: boolean | undefined
  /** Runs the write as a transaction of its own, if it waits alone. `undefined`: nothing has changed, and `run` runs it. */
  readonly byItself?: (() => unknown) | undefined
  /** Its row is named in an error. */
  readonly call?: Call<unknown, unknown> | undefined
}

interface Write {
  readonly kind: 'write'
  /**
   * Runs the write's statements synchronously in the batch's transaction. A write that throws has changed nothing, unless it is alone:
   * the queue rolls back the transaction.
   */
  readonly run: (isAlone: boolean) => unknown
  /** The statement, if `run` runs nothing else: it may run together with its neighbours. */
  readonly bound: BoundStatement<unknown> | undefined
  byItself: QueuedWrite['byItself']
  readonly call: QueuedWrite['call']
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
  readonly since: number
  /** Commits alone: this write's batch was rolled back, and only the write that caused the rollback shall fail. */
  alone: boolean
}

interface Lock {
  readonly kind: 'lock'
  readonly resolve: (release: () => void) => void
}

/** The number of committed writes, and the error of the others. */
interface Committed {
  readonly committed: number
  readonly error?: unknown
}

interface Outcome {
  readonly write: Write
  readonly failed: boolean
  readonly value: unknown
}

export interface WriteQueueOptions {
  readonly busyTimeoutMs: number
  readonly maxPendingWrites: number
  /** Called while the queue holds the lock: the error if the file refuses writes. */
  readonly refusal: () => StorageError | undefined
  /** Runs the statements from `from` on as one. An empty list or `undefined` if it cannot: nothing has changed then. */
  readonly together?: (
    bounds: readonly (BoundStatement<unknown> | undefined)[],
    from: number,
  ) => readonly Written<unknown>[] | undefined
  /** Called after COMMIT: the error if the commit must not be acknowledged. */
  readonly unacknowledged: () => StorageError | undefined
  /** Called when the queue becomes empty. */
  readonly onIdle: () => void
  /** The error of a refused call, with its row's key. */
  readonly named?: (error: unknown, call: Call<unknown, unknown>) => unknown
}

/**
 * The only way to the writer. Group commit: writes that wait together commit together, each with its own result. Results
 * and errors are delivered only after COMMIT.
 *
 * Writes run in the order of the calls, and each sees the earlier ones. A `lock` takes its place in the queue like a write.
 * Its holder owns the writer until the release.
 */
export class WriteQueue {
  readonly #raw: Sqlite.Database
  readonly #options: WriteQueueOptions
  readonly #statements: Record<'begin' | 'commit' | 'rollback', Sqlite.Statement>
  /** Runs the queue outside of all callers' asynchronous contexts. */
  readonly #outside = AsyncLocalStorage.snapshot()
  #waiting: (Write | Lock)[] = []
  /** Index of the first waiting item in `#waiting`. Items before it were taken. */
  #first = 0
  /** A turn is scheduled, a lock is held, or the queue waits for another process's lock. */
  #busy = false
  #pause = 1
  #busySince: number | undefined
  #writingSince: number | undefined
  #idle: (() => void)[] = []
  #failure: StorageError | undefined

  constructor(raw: Sqlite.Database, options: WriteQueueOptions) {
    this.#raw = raw
    this.#options = options
    this.#statements = {
      // IMMEDIATE: a deferred transaction that reads first fails if another process writes before its first write.
      begin: raw.prepare('BEGIN IMMEDIATE'),
      commit: raw.prepare('COMMIT'),
      rollback: raw.prepare('ROLLBACK'),
    }
  }

  /** Refuses all writes from now on with `failure`. */
  fail(failure: StorageError): void {
    this.#failure = failure
  }

  /** The number of waiting items. */
  get length(): number {
    return this.#waiting.length - this.#first
  }

  /** Resolves with the result of `run` after the COMMIT. Rejects with the error of `run` or of the commit. */
  write<T>(run: (isAlone: boolean) => T, { bound, ahead = false, byItself, call }: QueuedWrite = {}): Promise<T> {
    if (!ahead && this.length >= this.#options.maxPendingWrites) return Promise.reject(this.#tooMany())
    return new Promise<T>((resolve, reject) => {
      const since = performance.now()
      this.#push({ kind: 'write', run, bound, byItself, call, resolve, reject, since, alone: false }, ahead)
    })
  }

  #tooMany(): StorageError {
    const error = new StorageError(
      'BUSY',
      `${this.length} writes are waiting already. This one was not written. Wait for some of them.`,
    )
    traceRefusal(commitTracing, { batch: 0 }, error)
    return error
  }

  /** Resolves when the caller owns the writer, with the function that releases it. */
  lock(): Promise<() => void> {
    if (this.length >= this.#options.maxPendingWrites) return Promise.reject(this.#tooMany())
    return new Promise((resolve) => this.#push({ kind: 'lock', resolve }))
  }

  /**
   * BEGIN IMMEDIATE for the lock holder; `since` is when it asked. Throws BUSY after other processes have held the file for
   * `busyTimeoutMs`. The timeout is shared: all waiting callers are refused together.
   */
  async begin(since: number): Promise<void> {
    for (let pause = 1; ; pause = nextPause(pause)) {
      if (this.#failure !== undefined) throw this.#failure
      try {
        this.#statements.begin.run()
        this.#busySince = undefined
        return
      } catch (error) {
        if (!isBusy(error) || this.#hasWaited(since)) throw translated(error, this.#raw.name)
        traceRetry('transaction', 'busy')
      }
      await sleep(jittered(pause))
    }
  }

  /** COMMIT for the lock holder. Throws StorageErrors. */
  commit(): void {
    try {
      this.#statements.commit.run()
    } catch (error) {
      throw translatedCommit(error, this.#raw.name)
    }
  }

  /** Whether other processes have held the file for `busyTimeoutMs`. */
  #hasWaited(since: number, now = performance.now()): boolean {
    this.#busySince ??= now
    return now - Math.max(since, this.#busySince) >= this.#options.busyTimeoutMs
  }

  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void> {
    if (!this.#busy) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #push(item: Write | Lock, ahead = false): void {
    if (ahead) this.#waiting.splice(this.#first, 0, item)
    else this.#waiting.push(item)
    if (this.#busy) return
    this.#busy = true
    this.#nextTurn()
  }

  #nextTurn(): void {
    const now = performance.now()
    this.#writingSince ??= now
    if (now - this.#writingSince > FAIR_AFTER_MS && this.length > 0) {
      this.#writingSince = undefined
      this.#outside(() => setTimeout(this.#turn, FAIR_PAUSE_MS))
      return
    }
    // A macrotask: writes from the same turn of the event loop share a commit.
    this.#outside(() => setImmediate(this.#turn))
  }

  readonly #turn = (): void => {
    const next = this.#waiting[this.#first]
    if (next === undefined) {
      this.#busy = false
      this.#writingSince = undefined
      for (const resolve of this.#idle.splice(0)) resolve()
      this.#options.onIdle()
      return
    }
    if (next.kind === 'lock') {
      this.#take(1)
      next.resolve(() => this.#nextTurn())
      return
    }
    this.#commitBatch()
  }

  #take(count: number): (Write | Lock)[] {
    const taken = this.#waiting.slice(this.#first, this.#first + count)
    this.#first += count
    // Compacts the array when most of its items were taken: amortized constant time for each item.
    if (this.#first * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first)
      this.#first = 0
    }
    return taken
  }

  /** The writes that the next commit may hold. */
  #batch(): Write[] {
    const batch: Write[] = []
    for (let at = this.#first; at < this.#waiting.length && batch.length < BATCH_WRITES; at++) {
      const item = this.#waiting[at]
      if (item === undefined || item.kind === 'lock' || (item.alone && batch.length > 0)) break
      batch.push(item)
      if (item.alone) break
    }
    return batch
  }

  #commitBatch(): void {
    const batch = this.#batch()
    if (this.#failure !== undefined) {
      this.#refuse(batch, this.#failure)
      return
    }
    const [only] = batch
    if (only?.byItself !== undefined && batch.length === 1) {
      const { byItself } = only
      only.byItself = undefined
      this.#traced(batch, () => this.#commitByItself(only, byItself))
      return
    }
    try {
      this.#statements.begin.run()
    } catch (error) {
      if (isBusy(error)) this.#waitForOthers(translated(error, this.#raw.name))
      else this.#refuse(batch, translated(error, this.#raw.name))
      return
    }
    this.#busySince = undefined
    this.#pause = 1
    const refusal = this.#options.refusal()
    if (refusal !== undefined) {
      this.#rollBack()
      this.#refuse(batch, refusal)
      return
    }
    this.#traced(batch, () => this.#runAndCommit(batch))
  }

  #traced(batch: readonly Write[], commit: () => Committed): void {
    if (!commitTracing.hasSubscribers) {
      commit()
      return
    }
    traceSync(commitTracing, { batch: batch.length }, (event: CommitEvent) => {
      const { committed, error } = commit()
      event.batch = committed
      if (error !== undefined) event.error = error
    })
  }

  /** A write that cannot run so, or finds the file locked, runs in the queue's transaction when its turn comes again. */
  #commitByItself(write: Write, run: () => unknown): Committed {
    let value: unknown
    try {
      if (this.#options.refusal() === undefined) value = run()
    } catch (error) {
      const refusal = translated(error, this.#raw.name)
      if (isBusy(error)) {
        this.#waitForOthers(refusal)
        return { committed: 0 }
      }
      this.#refuseOne({ write, failed: true, value: refusal })
      return { committed: 0, error: refusal }
    }
    if (value === undefined) {
      this.#nextTurn()
      return { committed: 0 }
    }
    this.#busySince = undefined
    this.#pause = 1
    this.#take(1)
    return this.#acknowledge([{ write, failed: false, value }])
  }

  #runAndCommit(batch: readonly Write[]): Committed {
    const outcomes = this.#runAll(batch)
    const [only] = outcomes
    if (only?.failed && batch.length === 1 && this.#raw.inTransaction) {
      this.#rollBack()
      this.#refuseOne(only)
      return { committed: 1 }
    }
    if (!this.#raw.inTransaction) {
      this.#runAgainOneByOne(outcomes)
      return { committed: 0, error: outcomes.at(-1)?.value }
    }
    try {
      this.commit()
    } catch (error) {
      this.#rollBack()
      // A deferred foreign key: any of the writes may have broken it.
      if (isConstraint(error) && outcomes.length > 1) this.#runAgainOneByOne(outcomes)
      else {
        this.#take(outcomes.length)
        for (const { write } of outcomes) write.reject(this.#named(error, write))
        this.#nextTurn()
      }
      return { committed: 0, error }
    }
    this.#take(outcomes.length)
    return this.#acknowledge(outcomes)
  }

  #acknowledge(outcomes: readonly Outcome[]): Committed {
    const error = this.#options.unacknowledged()
    for (const { write, failed, value } of outcomes) {
      if (failed) write.reject(value)
      else if (error !== undefined) write.reject(error)
      else write.resolve(value as never)
    }
    this.#nextTurn()
    return error === undefined ? { committed: outcomes.length } : { committed: 0, error }
  }

  /** Runs the writes, and returns their outcomes. The last one may have made SQLite roll back the whole batch. */
  #runAll(batch: readonly Write[]): Outcome[] {
    const outcomes: Outcome[] = []
    const begun = performance.now()
    let tries = batch.length > 1
    const bounds = tries ? batch.map(({ bound }) => bound) : []
    while (outcomes.length < batch.length) {
      const isRun = tries && this.#runTogether(batch, bounds, outcomes)
      if (isRun === undefined) tries = false
      if (!isRun) outcomes.push(this.#runOne(batch[outcomes.length] as Write, batch.length === 1))
      const hasFailed = outcomes.at(-1)?.failed
      if ((hasFailed && !this.#raw.inTransaction) || performance.now() - begun > BATCH_MS) break
    }
    return outcomes
  }

  /** Whether the next writes ran as one statement. `undefined`: one of their rows was not written. */
  #runTogether(batch: readonly Write[], bounds: readonly Write['bound'][], outcomes: Outcome[]): boolean | undefined {
    const from = outcomes.length
    try {
      const together = this.#options.together?.(bounds, from)
      if (together === undefined) return undefined
      for (const value of together) {
        outcomes.push({ write: batch[outcomes.length] as Write, failed: false, value })
      }
      return together.length > 0
    } catch (error) {
      // SQLite rolled back the batch, and any of the rows may be the cause.
      for (const write of batch.slice(from)) outcomes.push({ write, failed: true, value: error })
      return true
    }
  }

  #runOne(write: Write, isAlone: boolean): Outcome {
    try {
      return { write, failed: false, value: write.run(isAlone) }
    } catch (error) {
      return { write, failed: true, value: this.#named(translated(error, this.#raw.name), write) }
    }
  }

  #named(error: unknown, { call }: Write): unknown {
    return call === undefined ? error : (this.#options.named?.(error, call) ?? error)
  }

  /** The batch was rolled back, for example after a full disk: each write runs again in its own commit. */
  #runAgainOneByOne(outcomes: readonly Outcome[]): void {
    const [only] = outcomes
    if (only !== undefined && outcomes.length === 1) {
      this.#refuseOne(only)
      return
    }
    for (const { write } of outcomes) write.alone = true
    this.#nextTurn()
  }

  #refuseOne({ write, value }: Outcome): void {
    this.#take(1)
    write.reject(value)
    this.#nextTurn()
  }

  /** Another process holds the lock: retries the same writes until their timeout. */
  #waitForOthers(error: unknown): void {
    const now = performance.now()
    for (let next = this.#waiting[this.#first]; next?.kind === 'write'; next = this.#waiting[this.#first]) {
      if (!this.#hasWaited(next.since, now)) break
      this.#take(1)
      next.reject(error)
      traceRefusal(commitTracing, { batch: 0 }, error)
    }
    if (this.#waiting[this.#first] !== undefined) traceRetry('commit', 'busy')
    const pause = jittered(this.#pause)
    this.#pause = nextPause(this.#pause)
    this.#outside(() => setTimeout(this.#turn, pause))
  }

  #refuse(batch: readonly Write[], error: unknown): void {
    this.#take(batch.length)
    for (const write of batch) write.reject(error)
    traceRefusal(commitTracing, { batch: 0 }, error)
    this.#nextTurn()
  }

  #rollBack(): void {
    try {
      if (this.#raw.inTransaction) this.#statements.rollback.run()
    } catch {
      // SQLite has rolled back by itself.
    }
  }
}
