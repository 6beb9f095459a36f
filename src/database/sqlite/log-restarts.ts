import { readSync } from 'node:fs'

/** The header's first salt: one more each time the log begins anew (https://sqlite.org/walformat.html#walhdr). */
const SALT = { at: 16, bytes: 4 } as const
/** A log that was deleted begins with a random salt. */
const MOST_BETWEEN_LOOKS = 1_000_000

/** Counts how often the write-ahead log began anew. */
export class LogRestarts {
  readonly #buffer = Buffer.alloc(SALT.bytes)
  #last: number | undefined
  #count = 0

  /** Looks at the log's header through a handle on the log. */
  look(fd: number): number {
    // An emptied log has no header before the next write.
    if (readSync(fd, this.#buffer, 0, SALT.bytes, SALT.at) < SALT.bytes) return this.#count
    const salt = this.#buffer.readUInt32BE()
    const more = this.#last === undefined ? 0 : (salt - this.#last) >>> 0
    this.#count += more > MOST_BETWEEN_LOOKS ? 1 : more
    this.#last = salt
    return this.#count
  }
}
