import type { ChangeLog, Database, LogPosition } from '../database/session.ts'
import { clearTimeout, performance, setTimeout } from '../event-loop.ts'

/** Interval between two polls while changes come, in milliseconds. */
const BUSY_MS = 25
/** The longest interval: it doubles with each poll that finds nothing. */
const IDLE_MS = 250

interface Waiter {
  readonly log: ChangeLog
  readonly at: LogPosition
  readonly until: number
  readonly wake: () => void
}

/** One poll of the change log for all streams of a store that wait for changes. No poll without waiting streams. */
export class LogPoller {
  readonly #database: Database
  readonly #waiters = new Set<Waiter>()
  #isPolling = false
  #intervalMs = BUSY_MS
  #polledAt = 0
  /** A commit that the poll under way may not see. */
  #hasCommitted = false
  #nap: { readonly dueAt: number; readonly end: () => void } | undefined

  constructor(database: Database) {
    this.#database = database
  }

  /**
   * Resolves when the log may hold changes after the position, at the time `until`, or when `signal` is aborted. Never
   * rejects: the stream's next read reports an unreadable log.
   */
  wait(log: ChangeLog, at: LogPosition, { until, signal }: { until: number; signal: AbortSignal }): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        this.#waiters.delete(waiter)
        if (this.#waiters.size === 0) this.#nap?.end()
        resolve()
      }
      const waiter: Waiter = { log, at, until, wake }
      signal.addEventListener('abort', wake)
      this.#waiters.add(waiter)
      if (!this.#isPolling) void this.#poll()
    })
  }

  /** Polls at once, but no more often than every `BUSY_MS`. */
  #committed(): void {
    const dueAt = this.#polledAt + BUSY_MS
    this.#hasCommitted = true
    if (this.#nap === undefined || this.#nap.dueAt <= dueAt) return
    if (performance.now() >= dueAt) this.#nap.end()
    else void this.#napUntil(dueAt)
  }

  async #poll(): Promise<void> {
    this.#isPolling = true
    while (this.#waiters.size > 0) {
      const stop = this.#database.commits.listen(() => this.#committed())
      await this.#napUntil(this.#polledAt + this.#intervalMs)
      this.#polledAt = performance.now()
      this.#hasCommitted = false
      const waiters = [...this.#waiters]
      const haveNews = waiters.length === 0 ? [] : await this.#news(waiters)
      const isBusy = this.#hasCommitted || haveNews.includes(true)
      this.#intervalMs = isBusy ? BUSY_MS : Math.min(this.#intervalMs * 2, IDLE_MS)
      stop()
      for (const [index, { until, wake }] of waiters.entries()) {
        if (haveNews[index] || until <= performance.now()) wake()
      }
    }
    this.#isPolling = false
  }

  /** A move replaces the log: the streams of the old one have to follow. */
  async #news(waiters: readonly Waiter[]): Promise<readonly boolean[]> {
    try {
      // Notices a move by another process.
      await this.#database.settled()
      const { changeLog } = this.#database
      const current = waiters.filter(({ log }) => log === changeLog)
      const news = await changeLog.news(current.map(({ at }) => at))
      const byWaiter = new Map(current.map((waiter, index) => [waiter, news[index]]))
      return waiters.map((waiter) => byWaiter.get(waiter) ?? true)
    } catch {
      return waiters.map(() => true)
    }
  }

  /** Replaces the nap that there is, if any. */
  #napUntil(dueAt: number): Promise<void> {
    const previous = this.#nap
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#nap = undefined
        resolve()
        previous?.end()
      }
      const timer = setTimeout(end, Math.max(0, dueAt - performance.now()))
      this.#nap = { dueAt, end }
    })
  }
}
