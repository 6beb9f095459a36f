/** The driver's handles on a file, with the settings that every connection gets. */
import Sqlite from 'better-sqlite3'
import { StorageError } from '../../errors.ts'
import type { BusyRetry } from './busy-retry.ts'
import { translated } from './errors.ts'

export type Durability = 'full' | 'normal'

/**
 * The driver's own wait for a lock, in milliseconds. The driver blocks the event loop meanwhile; `BusyRetry` waits longer
 * without blocking.
 */
const DRIVER_WAIT_MS = 5
/** A reader's page cache: the driver's 16 MB fill up with every iteration. The system caches the file, too. */
const READER_CACHE_KIB = 4_000
/** Older versions can corrupt a WAL that several processes write (https://sqlite.org/wal.html#walresetbug). */
const OLDEST_SQLITE = [3, 51, 3] as const

/** A handle that `using` closes. */
export type Handle = Sqlite.Database & Disposable

/** A handle on a file (or `:memory:`) with the settings that every connection gets. Throws StorageErrors. */
export function openConnection(path: string, options: { readOnly: boolean }): Handle {
  let raw: Sqlite.Database | undefined
  try {
    raw = new Sqlite(path, { readonly: options.readOnly, fileMustExist: path !== ':memory:', timeout: DRIVER_WAIT_MS })
    assertVersion(raw)
    // Another program's schema must not be able to call functions with side effects (https://sqlite.org/security.html).
    raw.pragma('trusted_schema = OFF')
    // Checks each page when it is read, and reports a damaged page.
    raw.pragma('cell_size_check = ON')
    // Without memory-mapped I/O a stray write of this process cannot reach the file.
    raw.pragma('mmap_size = 0')
    if (options.readOnly) raw.pragma(`cache_size = -${READER_CACHE_KIB}`)
    const handle = raw
    return Object.assign(handle, { [Symbol.dispose]: () => void handle.close() })
  } catch (error) {
    raw?.close()
    throw translated(error, path)
  }
}

/** The settings of the connection that writes. `full` or `normal` is set and read back at every open. */
export async function prepareWriter(raw: Sqlite.Database, durability: Durability, busyRetry: BusyRetry): Promise<void> {
  // With a write-ahead log readers do not wait for a writer, and a commit is one sync. `:memory:` has no log.
  if (!raw.memory) {
    await busyRetry.run(() => beginLog(raw))
  }
  // The driver is compiled so that a WAL file opens with NORMAL, which loses acknowledged commits in a power cut.
  const synchronous = durability === 'full' ? 2 : 1
  raw.pragma(`synchronous = ${synchronous}`)
  if (raw.pragma('synchronous', { simple: true }) !== synchronous) {
    throw new StorageError(
      'CONFIG',
      `SQLite did not accept durability '${durability}'. Nothing was written. Check which better-sqlite3 is installed.`,
    )
  }
  raw.pragma('foreign_keys = ON')
}

function beginLog(raw: Sqlite.Database): void {
  const mode = raw.pragma('journal_mode = WAL', { simple: true })
  // BUSY also if another process has the file open: that passes, and a file system without WAL does not.
  if (mode !== 'wal')
    throw new StorageError(
      'BUSY',
      `${raw.name} has no write-ahead log (journal mode ${mode}). Nothing was written. Close other programs that use it, and keep it on a local disk.`,
    )
}

function assertVersion(raw: Sqlite.Database): void {
  const version = String(raw.prepare('SELECT sqlite_version()').pluck().get())
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor, oldestPatch] = OLDEST_SQLITE
  const at = (a: number, b: number, c: number): number => a * 1_000_000 + b * 1_000 + c
  if (at(major, minor, patch) < at(oldestMajor, oldestMinor, oldestPatch)) {
    throw new StorageError(
      'CONFIG',
      `SQLite ${version} can damage a write-ahead log. Install a better-sqlite3 with SQLite ${OLDEST_SQLITE.join('.')} or newer.`,
    )
  }
}
