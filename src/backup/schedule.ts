import { basename, join, resolve } from 'node:path'
import type { BackupManifest, BackupSchedule } from '../api.ts'
import { StorageError } from '../errors.ts'

export interface Scheduling extends BackupSchedule {
  /** Prefix of the files' names. */
  readonly name: string
  readonly now: () => Date
  readonly make: (target: string, signal: AbortSignal) => Promise<BackupManifest>
}

/** First pause after a failure. It doubles with each failure, up to the usual interval. */
const FIRST_RETRY_MS = 10_000
/** Pause while another process makes the backup, in milliseconds. */
const LOOK_AGAIN_MS = 1_000

/** Makes backups while a store is open, and retries after a failure. Never throws. Its timers do not keep a process running. */
export class BackupScheduler {
  readonly #options: Scheduling
  #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #release: (() => void) | undefined
  /** Why the last one failed; `undefined` once one has succeeded. */
  failure: unknown

  constructor(options: Scheduling) {
    // Resolve now: the working folder may change later.
    this.#options = { ...options, folder: resolve(options.folder) }
    this.start()
  }

  start(): void {
    this.#stopping = new AbortController()
    this.#wait(0)
  }

  /** Stops the schedule, and aborts the running backup. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#stopping.abort(
      new StorageError('CLOSED', 'The store is closed. No backup was made. Open a new one with openStorage().'),
    )
    this.#release?.()
  }

  #wait(milliseconds: number): void {
    if (this.#stopping.signal.aborted) return
    this.#timer = setTimeout(() => void this.#backUp(), milliseconds)
    this.#timer.unref()
  }

  async #backUp(): Promise<void> {
    const { signal } = this.#stopping
    try {
      const left = await this.#untilDue()
      if (left > 0) return this.#wait(left)
      if (!(await this.#madeAlone())) return this.#wait(LOOK_AGAIN_MS)
      this.failure = undefined
      this.#failures = 0
      this.#wait(this.#options.everySeconds * 1_000)
    } catch (error) {
      if (signal.aborted) return
      this.failure = error
      this.#wait(Math.min(FIRST_RETRY_MS * 2 ** this.#failures++, this.#options.everySeconds * 1_000))
    }
  }

  /**
   * Milliseconds until the next backup is due. The newest backup in the folder counts, also one of another process. A backup from
   * the future does not count: the clock was set back.
   */
  async #untilDue(): Promise<number> {
    const { folder, everySeconds, now } = this.#options
    const { listBackups } = await import('./folder.ts')
    let newest: Date | undefined
    try {
      newest = listBackups(folder).backups.findLast(({ createdAt }) => createdAt <= now())?.createdAt
    } catch {
      // The folder is missing, or cannot be used: making the backup creates it, or reports the error.
    }
    return newest === undefined ? 0 : newest.getTime() + everySeconds * 1_000 - now().getTime()
  }

  /** Makes the backup under the lease. Returns `false` if another process holds the lease, or has just made the backup. */
  async #madeAlone(): Promise<boolean> {
    const { folder, name } = this.#options
    const [{ acquireLease }, { createFolder }] = await Promise.all([
      import('../files/lease.ts'),
      import('./new-file.ts'),
    ])
    this.#stopping.signal.throwIfAborted()
    createFolder(folder)
    const release = acquireLease(join(folder, `${stemOf(name)}.sqlite`))
    if (release === undefined) return false
    this.#release = release
    try {
      if ((await this.#untilDue()) > 0) return false
      await this.#make()
      return true
    } finally {
      release()
    }
  }

  async #make(): Promise<void> {
    const { folder, name, now, make, keep } = this.#options
    const { signal } = this.#stopping
    const { file } = await make(join(folder, backupName(name, now())), signal)
    if (keep === undefined) return
    const { pruneBackups } = await import('./folder.ts')
    await pruneBackups(folder, keep, { keepAlso: file, signal })
  }
}

/** `mesh-20261124T175255123Z.sqlite` for `mesh.db`: names sort by time. */
export const backupName = (database: string, time: Date): string =>
  `${stemOf(database)}-${time.toISOString().replaceAll(/[-:.]/g, '')}.sqlite`

const stemOf = (database: string): string =>
  basename(database)
    .replace(/\.[a-z0-9]+$/i, '')
    .replace(/[^\w.-]/g, '_') || 'mesh'
