import { AsyncLocalStorage } from 'node:async_hooks'
import type Sqlite from 'better-sqlite3'
import { StorageError } from '../../errors.ts'
import { performance, setImmediate, setTimeout, sleep } from '../../event-loop.ts'
import { type CommitEvent, commitTracing, traceSync } from '../../tracing.ts'
import { jittered, nextPause } from '../backoff.ts'
import { isBusy, translated, translatedCommit } from './errors.ts'

/** A commit holds at most so many writes, and begins no further one after so many milliseconds: the event loop runs on. */
const BATCH_WRITES = 1_000
const BATCH_MS = 10
/**
 * A process that never stops writing would leave other processes only moments between two commits, which their attempts
 * would have to hit by chance. After so long it leaves the lock alone for long enough to be found free.
 */
const FAIR_AFTER_MS = 50
const FAIR_PAUSE_MS = 1

interface Write {
  readonly kind: 'write'
  /** Runs the write's statements, synchronously, inside the batch's transaction. What throws has changed nothing. */
  readonly run: () => unknown
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
  readonly since: number
  /** SQLite rolled back the batch that it was in: it gets a commit of its own, so that only the guilty one fails. */
  alone: boolean
}

interface Lock {
  readonly kind: 'lock'
  readonly resolve: (release: () => void) => void
}

interface Outcome {
  readonly write: Write
  readonly failed: boolean
  readonly value: unknown
}

export interface WriteQueueOptions {
  readonly busyTimeoutMs: number
  readonly maxPendingWrites: number
  /** Asked when the lock is had: why nothing may be written any more. */
  readonly refusal: () => StorageError | undefined
  /** Asked after COMMIT: why nothing of it may be acknowledged. */
  readonly unacknowledged: () => StorageError | undefined
  /** Called whenever nothing waits any more. */
  readonly onIdle: () => void
}

/**
 * The only way to the writer. Writes that wait together are committed together, each with a result of its own; results
 * and errors alike are handed out only after COMMIT.
 *
 * Order: as they arrive, and each sees those before it. A `lock` takes its turn like a write, and the writer is its
 * holder's until it is released.
 */
export class WriteQueue {
  readonly #raw: Sqlite.Database
  readonly #options: WriteQueueOptions
  readonly #statements: Record<'begin' | 'commit' | 'rollback', Sqlite.Statement>
  /** Turns run outside of any caller's asynchronous context. */
  readonly #outside = AsyncLocalStorage.snapshot()
  #waiting: (Write | Lock)[] = []
  /** Where the first of `#waiting` is: those before it have been taken. */
  #first = 0
  /** A turn is due, a lock is held, or another process's lock is waited for. */
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
      // IMMEDIATE: a deferred transaction that reads first fails at once when somebody else wrote since.
      begin: raw.prepare('BEGIN IMMEDIATE'),
      commit: raw.prepare('COMMIT'),
      rollback: raw.prepare('ROLLBACK'),
    }
  }

  /** The writer is not to be used any more, for this reason. */
  fail(failure: StorageError): void {
    this.#failure = failure
  }

  /** How many wait. */
  get length(): number {
    return this.#waiting.length - this.#first
  }

  /** Resolves with what `run` returns once it is committed; rejects with what it throws, or with the commit's error. */
  write<T>(run: () => T): Promise<T> {
    if (this.length >= this.#options.maxPendingWrites) return Promise.reject(this.#tooMany())
    return new Promise<T>((resolve, reject) => {
      const since = performance.now()
      this.#push({ kind: 'write', run, resolve, reject, since, alone: false })
    })
  }

  #tooMany(): StorageError {
    return new StorageError('BUSY', `${this.length} writes are waiting already. Wait for some of them.`)
  }

  /** Resolves when the writer is the caller's, with what gives it back. */
  lock(): Promise<() => void> {
    if (this.length >= this.#options.maxPendingWrites) return Promise.reject(this.#tooMany())
    return new Promise((resolve) => this.#push({ kind: 'lock', resolve }))
  }

  /**
   * BEGIN IMMEDIATE, for who has the lock and asked for it then. Throws BUSY when others have held the file for too long: many who
   * wait are refused together, and not each after a time of its own.
   */
  async begin(since: number): Promise<void> {
    for (let pause = 1; ; pause = nextPause(pause)) {
      if (this.#failure !== undefined) throw this.#failure
      try {
        this.#statements.begin.run()
        this.#busySince = undefined
        return
      } catch (error) {
        if (!isBusy(error) || this.#hasWaited(since)) throw translated(error)
      }
      await sleep(jittered(pause))
    }
  }

  /** Whether others have held the file for too long. */
  #hasWaited(since: number, now = performance.now()): boolean {
    this.#busySince ??= now
    return now - Math.max(since, this.#busySince) >= this.#options.busyTimeoutMs
  }

  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void> {
    if (!this.#busy) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #push(item: Write | Lock): void {
    this.#waiting.push(item)
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
    // A macrotask: what is asked for in the same turn of the event loop shares a commit.
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
    // The taken ones are let go when they are most of the array, so that a turn costs what it takes.
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
    try {
      this.#statements.begin.run()
    } catch (error) {
      if (isBusy(error)) this.#waitForOthers(translated(error))
      else this.#refuse(batch, translated(error))
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
    if (!commitTracing.hasSubscribers) {
      this.#runAndCommit(batch)
      return
    }
    traceSync(commitTracing, { batch: batch.length }, (event: CommitEvent) => {
      const { committed, error } = this.#runAndCommit(batch)
      event.batch = committed
      if (error !== undefined) event.error = error
    })
  }

  /** Says how many writes were committed, and what kept the others from it. */
  #runAndCommit(batch: readonly Write[]): { committed: number; error?: unknown } {
    const outcomes = this.#runAll(batch)
    if (!this.#raw.inTransaction) {
      this.#runAgainOneByOne(outcomes)
      return { committed: 0, error: outcomes.at(-1)?.value }
    }
    this.#take(outcomes.length)
    try {
      this.#statements.commit.run()
    } catch (failure) {
      const error = translatedCommit(failure)
      this.#rollBack()
      for (const { write } of outcomes) write.reject(error)
      this.#nextTurn()
      return { committed: 0, error }
    }
    const error = this.#options.unacknowledged()
    for (const { write, failed, value } of outcomes) {
      if (failed) write.reject(value)
      else if (error !== undefined) write.reject(error)
      else write.resolve(value as never)
    }
    this.#nextTurn()
    return error === undefined ? { committed: outcomes.length } : { committed: 0, error }
  }

  /** What each write that was run came to. SQLite may have rolled back all of it by itself at the last one. */
  #runAll(batch: readonly Write[]): Outcome[] {
    const outcomes: Outcome[] = []
    const begun = performance.now()
    for (const write of batch) {
      const outcome = this.#runOne(write)
      outcomes.push(outcome)
      if ((outcome.failed && !this.#raw.inTransaction) || performance.now() - begun > BATCH_MS) break
    }
    return outcomes
  }

  #runOne(write: Write): Outcome {
    try {
      return { write, failed: false, value: write.run() }
    } catch (error) {
      return { write, failed: true, value: translated(error) }
    }
  }

  /** SQLite rolls back by itself on a full disk or an I/O error: everything before the guilty write is undone too. */
  #runAgainOneByOne(outcomes: readonly Outcome[]): void {
    const only = outcomes.length === 1 ? outcomes[0] : undefined
    if (only === undefined) {
      for (const { write } of outcomes) write.alone = true
    } else {
      this.#take(1)
      only.write.reject(only.value)
    }
    this.#nextTurn()
  }

  /** Another process holds the lock: the same writes are tried again, until their time is up. */
  #waitForOthers(error: unknown): void {
    const now = performance.now()
    for (let next = this.#waiting[this.#first]; next?.kind === 'write'; next = this.#waiting[this.#first]) {
      if (!this.#hasWaited(next.since, now)) break
      this.#take(1)
      next.reject(error)
    }
    const pause = jittered(this.#pause)
    this.#pause = nextPause(this.#pause)
    this.#outside(() => setTimeout(this.#turn, pause))
  }

  #refuse(batch: readonly Write[], error: unknown): void {
    this.#take(batch.length)
    for (const write of batch) write.reject(error)
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
