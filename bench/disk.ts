/** The speed of the folder's disk by itself. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Summary, summaryOf } from './statistics.ts'

/** tmpfs and ramfs on Linux (statfs(2)): a sync does nothing there. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6])

export const isInMemory = (folder: string): boolean => IN_MEMORY.has(statfsSync(folder).type)

/** A new folder for temporary files, in the parent given or else in one that is on a disk, if there is any. */
export function temporaryFolder(prefix: string, parent?: string): string {
  if (parent !== undefined) return mkdtempSync(join(parent, prefix))
  const candidates = process.platform === 'win32' ? [tmpdir()] : [tmpdir(), '/var/tmp', process.cwd()]
  for (const candidate of candidates) {
    try {
      if (!isInMemory(candidate)) return mkdtempSync(join(candidate, prefix))
    } catch {
      // Not there, or not writable: the next one.
    }
  }
  return mkdtempSync(join(tmpdir(), prefix))
}

/** A folder's disk. */
export interface Disk {
  /** Milliseconds to append 4 KiB to a file and to sync it: what no durable write can go below. */
  readonly sync: Summary
  /** There is no disk below the folder. */
  readonly inMemory: boolean
}

export const diskOf = (folder: string, syncs: readonly number[]): Disk => ({
  sync: summaryOf(syncs),
  inMemory: isInMemory(folder),
})

const BLOCK = 4096

/** Milliseconds that each of some appends of 4 KiB and its sync take. */
export function syncTimes(folder: string, limits: { readonly samples: number; readonly budgetMs: number }): number[] {
  const path = join(folder, 'sync-time.tmp')
  const file = openSync(path, 'wx', 0o600)
  try {
    const block = Buffer.alloc(BLOCK)
    const times: number[] = []
    const begun = performance.now()
    do {
      block.fill(times.length % 251)
      const before = performance.now()
      writeSync(file, block)
      fdatasyncSync(file)
      times.push(performance.now() - before)
    } while (times.length < limits.samples && performance.now() - begun < limits.budgetMs)
    return times
  } finally {
    closeSync(file)
    rmSync(path)
  }
}
