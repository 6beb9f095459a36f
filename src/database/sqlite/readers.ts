import type { BusyRetry } from './busy-retry.ts'
import { SqliteConnection } from './connection.ts'
import { openConnection } from './raw-connection.ts'

/** Idle connections that stay open for the next snapshot. */
const SPARE = 2

/** Most open connections: each takes two file descriptors, and a process may have about a thousand. Others wait. */
const MOST = 64

/** Pool of reading connections for snapshots. */
export class Readers {
  readonly #path: string
  readonly #busyRetry: BusyRetry
  readonly #spare: SqliteConnection[] = []
  #borrowed = 0
  readonly #waiting: (() => void)[] = []
  #closed = false

  constructor(path: string, busyRetry: BusyRetry) {
    this.#path = path
    this.#busyRetry = busyRetry
  }

  async borrow(): Promise<{ reader: SqliteConnection; giveBack: () => void }> {
    if (this.#borrowed < MOST) this.#borrowed++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      const reader = this.#spare.pop() ?? (await this.#open())
      const giveBack = (): void => {
        if (this.#spare.length < SPARE && !this.#closed) this.#spare.push(reader)
        else reader.close()
        this.#next()
      }
      return { reader, giveBack }
    } catch (error) {
      this.#next()
      throw error
    }
  }

  /** Passes the free place to the next waiting caller. */
  #next(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#borrowed--
    else next()
  }

  #open(): Promise<SqliteConnection> {
    return this.#busyRetry.run(() => new SqliteConnection(openConnection(this.#path, { readOnly: true })))
  }

  /** Closes idle connections. Borrowed connections close when they are given back. */
  close(): void {
    this.#closed = true
    for (const reader of this.#spare.splice(0)) reader.close()
  }
}
