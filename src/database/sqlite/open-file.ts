/** Detects that the open files were deleted or replaced at their path: writes to them would be lost. */
import { closeSync, openSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type Sqlite from 'better-sqlite3'
import { isError, StorageError } from '../../errors.ts'
import { performance, setTimeout } from '../../event-loop.ts'
import { type Durability, openConnection } from './connection.ts'
import { sync } from './sync.ts'

/** Maximum age of a check, in milliseconds. `full` promises that an acknowledged write is durable: it checks each commit. */
const LOG_EVERY_MS = { full: 0, normal: 1 } as const
const DATABASE_EVERY_MS = 100

/**
 * The database file and its write-ahead log, as the writer has them open.
 *
 * A store can lose its locks: a second SQLite in the process, or code that copies the file, drops the locks when it closes
 * any descriptor on the file (https://sqlite.org/howtocorrupt.html, 2.2). The next program that closes the database then
 * takes itself for the last one, and deletes the log.
 */
export class OpenFile {
  readonly #raw: Sqlite.Database
  readonly #path: string
  readonly #log: Watched
  readonly #database: Watched
  readonly #onLost: (error: StorageError) => void
  #timer: NodeJS.Timeout | undefined
  #isLost = false

  constructor(
    raw: Sqlite.Database,
    options: { path: string; durability: Durability; onLost: (error: StorageError) => void },
  ) {
    this.#raw = raw
    this.#path = options.path
    this.#onLost = options.onLost
    this.#log = new Watched(`${options.path}-wal`, LOG_EVERY_MS[options.durability])
    this.#database = new Watched(options.path, DATABASE_EVERY_MS)
  }

  /** Call it after a COMMIT. The error if the commit must not be acknowledged. */
  unacknowledged(): StorageError | undefined {
    const now = performance.now()
    if (!this.#log.isReplaced(now) && !this.#database.isReplaced(now)) {
      this.#lookAgain()
      return undefined
    }
    return new StorageError('OUTCOME_UNKNOWN', `${this.#lose()} This write may or may not be in it: read there.`)
  }

  /** Schedules a check that covers the commits acknowledged since the last one. */
  #lookAgain(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.look()
    }, DATABASE_EVERY_MS)
    this.#timer.unref()
  }

  /** Checks the files now, except inside a transaction, whose COMMIT checks them. */
  look(): void {
    if (this.#isLost || !this.#raw.open || this.#raw.inTransaction) return
    if (this.#log.isReplaced() || this.#database.isReplaced()) this.#lose()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #lose(): string {
    this.#isLost = true
    const message = `The files of ${this.#path} were deleted or replaced while this store had them open. ${this.#save()}`
    this.#onLost(
      new StorageError('READ_ONLY', `${message} Nothing more is written: close the store and open the right file.`),
    )
    return message
  }

  /** Saves the database as the writer sees it to a new file beside the old one, and verifies the copy. */
  #save(): string {
    try {
      const saved = emptyFileBeside(this.#path)
      this.#raw.prepare('VACUUM INTO ?').run(saved)
      const copy = openConnection(saved, { readOnly: true })
      const found = copy.pragma('integrity_check', { simple: true })
      copy.close()
      sync(saved)
      sync(dirname(saved))
      return found === 'ok'
        ? `Everything committed was saved as ${saved}.`
        : `The committed rows were saved as ${saved}, which is damaged, since others wrote at the same time.`
    } catch (error) {
      const code = isError(error) && 'code' in error ? ` (${error.code})` : ''
      return `The committed rows could not be saved${code}: read them from this store before you close it.`
    }
  }
}

/** Watches the identity (device and inode) of a file. */
class Watched {
  readonly #path: string
  readonly #everyMs: number
  #first: Stats | undefined
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(path: string, everyMs: number) {
    this.#path = path
    this.#everyMs = everyMs
    this.#first = statSync(path, { throwIfNoEntry: false })
  }

  /** Checks at most every `everyMs`; without `now`, always checks. */
  isReplaced(now = Number.POSITIVE_INFINITY): boolean {
    if (now - this.#lookedAt < this.#everyMs) return false
    if (now !== Number.POSITIVE_INFINITY) this.#lookedAt = now
    // stat() opens no handle: closing one would drop SQLite's locks.
    const found = statSync(this.#path, { throwIfNoEntry: false })
    this.#first ??= found
    return found?.ino !== this.#first?.ino || found?.dev !== this.#first?.dev
  }
}

/** Creates the file with mode 0600: SQLite would use the umask. */
function emptyFileBeside(path: string): string {
  for (let number = 1; ; number++) {
    const name = `${path}.saved-${number}`
    try {
      closeSync(openSync(name, 'wx', 0o600))
      return name
    } catch (error) {
      if (!(isError(error) && 'code' in error && error.code === 'EEXIST')) throw error
    }
  }
}
