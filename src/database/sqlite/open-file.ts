/** Detects that the open files were deleted or replaced at their path: writes to them would be lost. */
import { closeSync, fstatSync, openSync, readlinkSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type Sqlite from 'better-sqlite3'
import { isError, StorageError } from '../../errors.ts'
import { performance, setTimeout } from '../../event-loop.ts'
import { Folder, isSame } from './folder.ts'
import { LogRestarts } from './log-restarts.ts'
import { type Durability, openConnection } from './raw-connection.ts'
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
  /** The log's shared memory: without it other programs no longer see this store's locks, and overwrite the log. */
  readonly #shared: Watched
  readonly #onLost: (error: StorageError) => void
  readonly #restarts = new LogRestarts()
  #timer: NodeJS.Timeout | undefined
  #isLost = false

  constructor(
    raw: Sqlite.Database,
    options: { path: string; durability: Durability; onLost: (error: StorageError) => void },
  ) {
    this.#raw = raw
    this.#path = options.path
    this.#onLost = options.onLost
    // SQLite locks the database and its -shm file, and never its log: a handle on the log may be closed at any time.
    this.#log = new Watched(`${options.path}-wal`, { everyMs: LOG_EVERY_MS[options.durability], opens: true })
    this.#database = new Watched(options.path, { everyMs: DATABASE_EVERY_MS, opens: false })
    this.#shared = new Watched(`${options.path}-shm`, { everyMs: DATABASE_EVERY_MS, opens: false })
  }

  /** How often the log began anew. `undefined` without a handle on it. */
  restarts(): number | undefined {
    const { fd } = this.#log
    return fd === undefined ? undefined : this.#restarts.look(fd)
  }

  /** Call it after a COMMIT. The error if the commit must not be acknowledged. */
  unacknowledged(): StorageError | undefined {
    const now = performance.now()
    if (!this.#isReplaced(now)) {
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
    if (this.#isReplaced()) this.#lose()
  }

  #isReplaced(now?: number): boolean {
    return this.#log.isReplaced(now) || this.#database.isReplaced(now) || this.#shared.isReplaced(now)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#log.close()
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

/** A handle, and the path that Linux shows for it: another one once the file is moved, deleted or replaced. */
interface Handle {
  readonly fd: number
  readonly folderFd: number
  readonly folder: Folder
  readonly link: string
  readonly shown: string
}

/**
 * Watches the identity (device and inode) of a file. stat() would do on every system. But after a stat() Linux writes
 * the next change's exact time into the inode, and a commit that has to sync an inode takes a quarter longer
 * (https://docs.kernel.org/filesystems/multigrain-ts.html). Reading a handle's link costs nothing of the kind. An
 * fstat() of the folder takes a quarter as long, and tells whether a name in it has changed, or its own.
 */
class Watched {
  readonly #path: string
  readonly #everyMs: number
  #opens: boolean
  #first: Stats | undefined
  #handle: Handle | undefined
  #lookedAt = Number.NEGATIVE_INFINITY

  /** `opens`: it may hold a handle on the file. Closing a handle drops this process's locks on the file. */
  constructor(path: string, { everyMs, opens }: { everyMs: number; opens: boolean }) {
    this.#path = path
    this.#everyMs = everyMs
    this.#opens = opens && process.platform === 'linux'
    this.#first = statSync(path, { throwIfNoEntry: false })
  }

  /** Checks at most every `everyMs`; without `now`, always checks. */
  isReplaced(now = Number.POSITIVE_INFINITY): boolean {
    if (now - this.#lookedAt < this.#everyMs) return false
    if (now !== Number.POSITIVE_INFINITY) this.#lookedAt = now
    const handle = this.#handle
    if (handle !== undefined && (handle.folder.isUnchanged() || shownFor(handle.link) === handle.shown)) return false
    const found = statSync(this.#path, { throwIfNoEntry: false })
    this.#first ??= found
    if (found === undefined) return this.#first !== undefined
    if (!isSame(found, this.#first)) return true
    if (this.#opens && this.#handle === undefined) this.#open(found)
    return false
  }

  get fd(): number | undefined {
    return this.#handle?.fd
  }

  #open(found: Stats): void {
    let fd: number | undefined
    let folderFd: number | undefined
    try {
      fd = openSync(this.#path, 'r')
      const opened = openSync(dirname(this.#path), 'r')
      folderFd = opened
      const folder = new Folder(() => fstatSync(opened))
      const link = `/proc/self/fd/${fd}`
      const shown = readlinkSync(link)
      if (!isSame(fstatSync(fd), found)) throw new Error('The file has been replaced meanwhile.')
      this.#handle = { fd, folderFd, folder, link, shown }
    } catch {
      // Without a handle, or without /proc, stat() looks.
      this.#opens = false
      for (const each of [fd, folderFd]) if (each !== undefined) closeSync(each)
    }
  }

  close(): void {
    if (this.#handle !== undefined) for (const each of [this.#handle.fd, this.#handle.folderFd]) closeSync(each)
    this.#handle = undefined
  }
}

function shownFor(link: string): string | undefined {
  try {
    return readlinkSync(link)
  } catch {
    return undefined
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
