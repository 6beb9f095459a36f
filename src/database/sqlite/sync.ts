import { closeSync, fsyncSync, openSync } from 'node:fs'

/** Syncs a file to disk. Use it only for files that this process has not open in SQLite. */
export function sync(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
