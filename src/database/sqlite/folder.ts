import type { Stats } from 'node:fs'
import { machineTime } from '../../event-loop.ts'

/** The coarsest time that a file system gives an inode: two changes in it may have the same. */
const COARSEST_MS = 2_000

export const isSame = (one: Stats, other: Stats | undefined): boolean => one.ino === other?.ino && one.dev === other.dev

/** A folder's ctime changes with every name in it, and no program can set it back. */
export class Folder {
  readonly #look: () => Stats
  readonly #now: () => Date
  #seen: Stats | undefined
  /** The last look came long enough after the folder's last change: a later change has another ctime. */
  #wasQuiet = false

  /** `look`: the folder's state, through a handle on it. That takes half as long as by its path. */
  constructor(look: () => Stats, now = machineTime) {
    this.#look = look
    this.#now = now
  }

  /** Whether the folder is certainly as it was at the last call. The caller then need not look at its files again. */
  isUnchanged(): boolean {
    const [before, wasQuiet] = [this.#seen, this.#wasQuiet]
    const found = this.#look()
    this.#seen = found
    // Not every runtime tells a ctime.
    this.#wasQuiet = Boolean(found.ctimeMs) && this.#now().getTime() - found.ctimeMs > COARSEST_MS
    return wasQuiet && found.ctimeMs === before?.ctimeMs
  }
}
