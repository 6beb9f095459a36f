import { closeSync, fsyncSync, openSync } from 'node:fs'

/** Only for files that no SQLite handle of this process is on. */
export function sync(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
