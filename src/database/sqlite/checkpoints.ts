import type Sqlite from 'better-sqlite3'

/** Idle time after a write until the checkpoint, in milliseconds. */
const AFTER_MS = 1_000

/** Checkpoints the write-ahead log when the store is idle: readers need not search a long log of an idle file. */
export class Checkpoints {
  readonly #raw: Sqlite.Database
  readonly #isQuiet: () => boolean
  #timer: NodeJS.Timeout | undefined

  constructor(raw: Sqlite.Database, isQuiet: () => boolean) {
    this.#raw = raw
    this.#isQuiet = isQuiet
  }

  /** Call it after a write: the checkpoint runs after the idle time. */
  later(): void {
    if (this.#timer !== undefined) {
      this.#timer.refresh()
      return
    }
    this.#timer = setTimeout(() => this.now('PASSIVE'), AFTER_MS)
    this.#timer.unref()
  }

  /** PASSIVE does not wait for readers or writers. Ignores errors: a later checkpoint empties the log. */
  now(mode: 'PASSIVE' | 'TRUNCATE'): void {
    try {
      if (this.#isQuiet() && !this.#raw.inTransaction) this.#raw.pragma(`wal_checkpoint(${mode})`)
    } catch {}
  }

  /** Empties the log if no reader needs it. The caller holds the lock of the queue of writes. */
  empty(): void {
    this.#raw.pragma('wal_checkpoint(TRUNCATE)')
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
