import { statSync } from 'node:fs'
import { StorageError } from '../../errors.ts'
import { clearTimeout, performance, setTimeout, sleep } from '../../event-loop.ts'
import { logReaders, processName } from './log-readers.ts'

/** Interval between two looks at the log while snapshots are open, in milliseconds. */
const LOOK_EVERY_MS = 1_000
/** Snapshots that follow each other for this long, in milliseconds, are not to blame: the next ones wait for a moment without any. */
const SHORT_MS = 1_000
/** Minimum time between two such moments, in milliseconds. */
const RELIEVE_EVERY_MS = 5_000
/** A process reads the whole time if it is seen at each of these looks, some milliseconds apart. */
const LOOKS = 3
const BETWEEN_LOOKS_MS = 20

const MEBIBYTE = 1_048_576

export interface WalLimits {
  /** The size from which the log is too large, in bytes. */
  readonly walLimitBytes: number
  /** Maximum age of a snapshot while the log is too large, in seconds. */
  readonly walLimitSeconds: number
}

/** An open snapshot of this store. */
export interface Hold {
  /** Aborted when the snapshot must end, with the error. */
  readonly ended: AbortSignal
  readonly release: () => void
}

interface Held {
  readonly what: string
  readonly since: number
  readonly ending: AbortController
}

/** SQLite cannot empty the log while a snapshot needs it. Names such snapshots, and ends this store's own old ones. */
export class WalLimit {
  readonly #path: string
  readonly #limits: WalLimits
  readonly #empty: () => Promise<void>
  readonly #held = new Set<Held>()
  #timer: NodeJS.Timeout | undefined
  #relievedAt = Number.NEGATIVE_INFINITY
  /** New snapshots wait for it. */
  #gate: Promise<void> | undefined
  #released: (() => void) | undefined

  /** `empty`: moves the log into the file, if no snapshot needs it. */
  constructor(path: string, limits: WalLimits, empty: () => Promise<void>) {
    this.#path = path
    this.#limits = limits
    this.#empty = empty
  }

  /** Size of the log, in bytes. stat() opens no handle: see prepareFile(). */
  size(): number {
    return statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Call it before a snapshot is opened. `what` names it in messages, with its article. */
  async hold(what: string): Promise<Hold> {
    if (this.#gate !== undefined) await this.#gate
    const held: Held = { what, since: performance.now(), ending: new AbortController() }
    this.#held.add(held)
    this.#lookLater()
    const release = (): void => {
      this.#held.delete(held)
      if (this.#held.size === 0) this.#released?.()
    }
    return { ended: held.ending.signal, release }
  }

  #lookLater(): void {
    if (this.#timer !== undefined) return
    const every = Math.min(LOOK_EVERY_MS, (this.#limits.walLimitSeconds * 1_000) / 4)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#held.size === 0) return
      this.#lookLater()
      this.#look()
    }, every)
    this.#timer.unref()
  }

  #look(): void {
    const size = this.size()
    if (size <= this.#limits.walLimitBytes) return
    const now = performance.now()
    const ages = [...this.#held].map(({ since }) => now - since)
    for (const held of this.#held) {
      const seconds = (now - held.since) / 1_000
      if (seconds >= this.#limits.walLimitSeconds) held.ending.abort(this.#tooOld(held, seconds, size))
    }
    if (Math.max(...ages) < SHORT_MS && now - this.#relievedAt >= RELIEVE_EVERY_MS) void this.#relieve()
  }

  /** Short snapshots that overlap would keep the log for ever: makes a moment without any. */
  async #relieve(): Promise<void> {
    const relieved = Promise.withResolvers<void>()
    this.#gate = relieved.promise
    try {
      await Promise.race([new Promise<void>((resolve) => (this.#released = resolve)), sleep(SHORT_MS)])
      if (this.#held.size === 0) await this.#empty()
    } catch {
      // The next commit moves the log into the file.
    } finally {
      this.#relievedAt = performance.now()
      this.#released = undefined
      this.#gate = undefined
      relieved.resolve()
    }
  }

  #tooOld({ what }: Held, seconds: number, size: number): StorageError {
    return new StorageError(
      'TIMEOUT',
      `${capitalized(what)} was ended after ${Math.round(seconds)} s, because the write-ahead log cannot be emptied while it reads: ${this.#sizes(size)}. Nothing of it was kept, and nothing else is lost. Make it shorter, or raise walLimitBytes or walLimitSeconds.`,
    )
  }

  #sizes(size: number): string {
    return `${Math.ceil(size / MEBIBYTE)} MiB, and walLimitBytes allows ${Math.round(this.#limits.walLimitBytes / MEBIBYTE)} MiB`
  }

  /** Says who holds up the checkpoint, if the log is too large. */
  async problem(): Promise<{ code: string; message: string } | undefined> {
    if (this.size() <= this.#limits.walLimitBytes) return undefined
    // Its readers may be gone.
    if (this.#held.size === 0) await Promise.race([this.#empty().catch(() => {}), sleep(SHORT_MS)])
    const others = await this.#lastingReaders()
    const own = [...this.#held].map(
      ({ what, since }) => `${what} (${Math.round((performance.now() - since) / 1_000)} s)`,
    )
    if (own.length === 0 && others?.has(process.pid)) own.push('another store of this process')
    const names = [...own, ...[...(others ?? [])].filter((pid) => pid !== process.pid).map(processName)]
    const size = this.size()
    if (size <= this.#limits.walLimitBytes) return undefined
    if (names.length === 0) names.push('a process that this system does not name')
    return {
      code: 'BUSY',
      message: `The write-ahead log is too large: ${this.#sizes(size)}. It cannot be emptied while an old state is read, by: ${names.join(', ')}. Nothing is lost, but the disk fills up. End the reader; the next write then empties the log.`,
    }
  }

  /** Processes that are seen at each look: a short read of another process is not to blame. */
  async #lastingReaders(): Promise<ReadonlySet<number> | undefined> {
    let lasting = logReaders(this.#path)
    for (let look = 1; look < LOOKS && lasting !== undefined && lasting.size > 0; look++) {
      await sleep(BETWEEN_LOOKS_MS)
      const seen = logReaders(this.#path)
      lasting = new Set([...lasting].filter((pid) => seen?.has(pid)))
    }
    return lasting
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
