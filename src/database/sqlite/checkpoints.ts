import type Sqlite from 'better-sqlite3'

/** After so long without a write, what the log holds is moved into the database. */
const AFTER_MS = 1_000

/** Empties the write-ahead log when nobody writes: else a reader would search it, and an idle file stay two. */
export class Checkpoints {
  readonly #raw: Sqlite.Database
  readonly #isQuiet: () => boolean
  #timer: NodeJS.Timeout | undefined

  constructor(raw: Sqlite.Database, isQuiet: () => boolean) {
    this.#raw = raw
    this.#isQuiet = isQuiet
  }

  /** A write has ended. */
  later(): void {
    if (this.#timer !== undefined) {
      this.#timer.refresh()
      return
    }
    this.#timer = setTimeout(() => this.now('PASSIVE'), AFTER_MS)
    this.#timer.unref()
  }

  /** PASSIVE waits for nobody. A log that cannot be emptied now is emptied later: no error of anybody's. */
  now(mode: 'PASSIVE' | 'TRUNCATE'): void {
    try {
      if (this.#isQuiet() && !this.#raw.inTransaction) this.#raw.pragma(`wal_checkpoint(${mode})`)
    } catch {}
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
