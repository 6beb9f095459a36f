/** The processes that read from a write-ahead log at this moment, as far as the system tells. */
import { readFileSync, statSync } from 'node:fs'

/** Locks of a read in the shared-memory file: five marks, each one byte (https://sqlite.org/walformat.html#wal_locks). */
const READ_LOCKS = { first: 123, last: 127 } as const

/** `12: POSIX ADVISORY READ 1234 08:01:5678 124 124`: a process, a device, an inode, and a range of bytes. */
const LOCK = /^\d+: POSIX +ADVISORY +READ +(\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) (\d+) (\d+)$/gm

/**
 * Process ids, from Linux's list of locks; `undefined` on other systems. A process of another container has no id here.
 * Opens no file of the database: closing a handle would drop SQLite's own locks.
 */
export function logReaders(path: string): ReadonlySet<number> | undefined {
  const shared = statSync(`${path}-shm`, { bigint: true, throwIfNoEntry: false })
  const locks = textOf('/proc/locks')
  if (locks === undefined) return undefined
  const device = shared && deviceText(shared.dev)
  const found = [...locks.matchAll(LOCK)].filter(
    ([, , , inode, from]) =>
      inode === String(shared?.ino) && Number(from) >= READ_LOCKS.first && Number(from) <= READ_LOCKS.last,
  )
  // Some file systems give stat() another device than the list of locks.
  const exact = found.filter(([, , on]) => on === device)
  return new Set((exact.length > 0 ? exact : found).map(([, pid]) => Number(pid)).filter((pid) => pid > 0))
}

/** As the list of locks writes a device. */
function deviceText(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn)
  return [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':')
}

/** `process 1234 (sqlite3)`. */
export function processName(pid: number): string {
  const name = textOf(`/proc/${pid}/comm`)?.trim()
  return name ? `process ${pid} (${name})` : `process ${pid}`
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
