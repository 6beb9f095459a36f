/** The options of `openStorage()`. */

import type { OwnSchema } from './tables.ts'

/** How to open a store. Every property but `url` is optional. */
export interface StorageOptions {
  /**
   * The database; its URL alone chooses the dialect: `sqlite:./mesh.db`, `sqlite::memory:`, a
   * `file:` URL, a path, or `postgres://user:password@host/database`.
   */
  readonly url: string
  /**
   * `'apply'` (the default) brings the schema up to date; `'check'` refuses to open (SCHEMA_MISMATCH) when something is
   * pending; `'skip'` does not look at the schema.
   */
  readonly migrate?: 'apply' | 'check' | 'skip' | undefined
  /**
   * `'full'` (the default): a write is on disk before it is acknowledged. `'normal'`: writes acknowledged in the last
   * moments before a power cut may be missing afterwards; a crash of the process loses nothing.
   */
  readonly durability?: 'full' | 'normal' | undefined
  /**
   * Open an existing database and refuse every write with READ_ONLY. Default: `false`. On SQLite the file's folder must be
   * writable: SQLite reads the file by way of two more files. Otherwise CONFIG; open a copy in a folder that can be written.
   */
  readonly readOnly?: boolean | undefined
  /** The application's own tables: what `schema()` of `meshstore/tables` returns. */
  readonly tables?: OwnSchema | undefined
  /**
   * The folder of the application's own migrations, with a folder `sqlite` or `postgresql` of drizzle-kit's in it. They are applied
   * after the library's, by the option `migrate`, and recorded in a ledger of their own: `__app_migrations`.
   */
  readonly migrations?: string | undefined
  /** The clock, for tests and replays. Default: the system's clock. */
  readonly now?: (() => Date) | undefined
  /**
   * How long a write waits for another process's lock, or on PostgreSQL for another transaction's, in milliseconds: 5,000 by
   * default. Past it: BUSY.
   */
  readonly busyTimeoutMs?: number | undefined
  /** Maximum number of writes that wait: 100,000 by default. Past it: BUSY. */
  readonly maxPendingWrites?: number | undefined
  /**
   * For a SQLite file: the size from which its write-ahead log is too large, in bytes: 1 GiB by default. A snapshot that is being read
   * keeps the log from being emptied. Past this size `health()` names who reads: snapshots of this store by what they are, other
   * processes by their ids on Linux.
   */
  readonly walLimitBytes?: number | undefined
  /**
   * For a SQLite file: while the write-ahead log is larger than `walLimitBytes`, read-only transactions, backups and other snapshots of
   * this store that are older than this are ended with TIMEOUT, in seconds: 300 by default.
   */
  readonly walLimitSeconds?: number | undefined
  /** The pool of connections to PostgreSQL. */
  readonly pool?: PoolOptions | undefined
  /**
   * On PostgreSQL: how long a call waits for a primary after it has lost the server, in milliseconds. Nothing was committed then, and
   * it runs again. Past this time: UNAVAILABLE. Default: 30,000 if the URL names several hosts or `outcomeTokens` is on; otherwise 0:
   * a call fails at once. A transaction never runs again after its `timeoutMs`.
   */
  readonly failoverMs?: number | undefined
  /**
   * On PostgreSQL: each write stores a token in its transaction. If the answer to a COMMIT is lost, the store looks for the token within
   * `failoverMs`: it returns the committed result, or runs the write again. Without tokens the call fails with OUTCOME_UNKNOWN.
   * Default: `true` if the URL names several hosts, otherwise `false`.
   */
  readonly outcomeTokens?: boolean | undefined
  /** Time to live, size and invalidation of the path cache. */
  readonly pathCache?: PathCacheOptions | undefined
  /**
   * For a SQLite file: the URL of the PostgreSQL database that its data moves to, or has moved to. After the switch the store uses
   * that database by itself; without it, every call rejects with MOVED. Other databases ignore this option.
   */
  readonly successor?: string | undefined
  /** Counts a policy's rules in its parsed YAML documents. Default: see `Policy.rulesCount`. */
  readonly countRules?: ((documents: readonly unknown[]) => number) | undefined
  /**
   * Makes backups while the store is open. `health()` and the channel `meshstore:backup` report a failed backup, and it is tried
   * again. A failed backup never makes another call fail.
   */
  readonly backups?: BackupSchedule | undefined
  /**
   * Keeps a second copy of the database that is some seconds old, in a folder or a bucket. `health()` reports how far it is. A failure
   * there never refuses or delays a write.
   */
  readonly replicate?: ReplicateOptions | undefined
}

/** A replica: segments of committed changes, and bases. */
export interface ReplicateOptions {
  /** A folder (a path or a `file:` URL) or `s3://bucket/prefix`. Give each database a place of its own. */
  readonly to: string
  /** Interval between two segments, in seconds: 1 by default, and 10 for a bucket, where each request costs money. */
  readonly everySeconds?: number | undefined
  /**
   * The store's reaction to the promotion of another database. `'report'` (the default): `health()` says MOVED, and writes go on;
   * no replica gets them. `'refuse'`: this database becomes a standby, and each write fails with READ_ONLY. `meshstore follow` then makes it follow the
   * new primary. On PostgreSQL the role must own the tables.
   */
  readonly onFenced?: 'report' | 'refuse' | undefined
  /** The bases to keep that are older than 24 hours: `{ daily: 7 }` by default. Every moment of the last 24 hours is kept. */
  readonly keep?: Retention | undefined
}

export interface PoolOptions {
  /** Maximum number of connections: 10 by default. */
  readonly max?: number | undefined
  /**
   * Default: the URL's `pool_mode`, or `'session'` without it. Use `'transaction'` behind a proxy that gives each transaction another
   * session, such as PgBouncer with `pool_mode=transaction`. The store then uses no named statements, and nothing that outlives a
   * transaction.
   */
  readonly mode?: 'session' | 'transaction' | undefined
}

export interface PathCacheOptions {
  /** Time to live of an entry, in seconds: 30 by default. A call's own `ttlSeconds` takes precedence. */
  readonly ttlSeconds?: number | undefined
  /** Maximum number of entries: 10,000 by default. Above it, the next sweep evicts the entries that expire first. */
  readonly maxEntries?: number | undefined
  /** Interval between two sweeps, in seconds, varied by up to a quarter: 10 by default. */
  readonly sweepSeconds?: number | undefined
  /**
   * - `'topology'`: triggers drop cached paths in the same transaction, whichever program makes the change. A node that is deleted, or
   *   whose `started`, `interfaces` or `protocols` change, drops the paths from, to and across it. A change of a policy drops all paths.
   * - `'manual'`: paths last until they expire or a call invalidates them.
   *
   * The database keeps this setting, for all programs that use it. Default: unchanged; `'topology'` in a new database.
   */
  readonly invalidation?: 'topology' | 'manual' | undefined
}

/** Number of backups that are kept: the last ones, and the newest of each of the last hours, days and weeks (UTC). */
export interface Retention {
  readonly last?: number | undefined
  readonly hourly?: number | undefined
  readonly daily?: number | undefined
  readonly weekly?: number | undefined
}

/** Backups that the application makes while it runs. */
export interface BackupSchedule {
  /**
   * The folder of the backups; it is created if it is missing. Give each database a folder of its own: the schedule and the retention
   * look at the whole folder. Processes on several machines each use their own folder, unless they share one.
   */
  readonly folder: string
  /** Interval between two backups, in seconds, also across restarts and processes: it runs from the newest backup in the folder. */
  readonly everySeconds: number
  /** The backups to keep. Default: all. The newest backup that can be verified is never deleted. */
  readonly keep?: Retention | undefined
}
