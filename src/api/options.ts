/** How to open a store. */

/** How to open a store. Every property but `url` is optional. */
export interface StorageOptions {
  /**
   * Where the data lives, and the only place where a dialect is chosen: `sqlite:./mesh.db`, `sqlite::memory:`, a
   * `file:` URL, a path, or `postgres://user:password@host/database`.
   */
  readonly url: string
  /**
   * `'apply'` (the default) brings the schema up to date; `'check'` refuses to open (SCHEMA_MISMATCH) when something is
   * pending; `'skip'` looks at nothing.
   */
  readonly migrate?: 'apply' | 'check' | 'skip' | undefined
  /**
   * `'full'` (the default): a write is on disk before it is acknowledged. `'normal'`: writes acknowledged in the last
   * moments before a power cut may be missing afterwards; a crash of the process loses nothing.
   */
  readonly durability?: 'full' | 'normal' | undefined
  /** Open an existing database and refuse every write with READ_ONLY. */
  readonly readOnly?: boolean | undefined
  /** The clock, for tests and replays. */
  readonly now?: (() => Date) | undefined
  /**
   * How long a write waits for another process's lock, or on PostgreSQL for another transaction's, in milliseconds: 5,000 by
   * default. Past it: BUSY.
   */
  readonly busyTimeoutMs?: number | undefined
  /** How many writes may wait: 100,000 by default. Past it: BUSY. */
  readonly maxPendingWrites?: number | undefined
  /** PostgreSQL's connections. */
  readonly pool?: PoolOptions | undefined
  /** How long paths are cached, how many, and what drops them. */
  readonly pathCache?: PathCacheOptions | undefined
  /**
   * Of a SQLite file: the PostgreSQL database that its data moves to, or has moved to. When that happens, the store goes on there
   * by itself; without it, every call rejects with MOVED. Of no meaning for another database than a SQLite file.
   */
  readonly successor?: string | undefined
  /** Counts a policy's rules in its YAML documents, in place of the usual rule (see `Policy.rulesCount`). */
  readonly countRules?: ((documents: readonly unknown[]) => number) | undefined
  /**
   * Makes backups while the store is open. One that fails is in `health()` and on the channel `meshstore:backup`, and
   * is tried again; it never disturbs anything else.
   */
  readonly backups?: BackupSchedule | undefined
}

export interface PoolOptions {
  /** At most so many connections: 10 by default. */
  readonly max?: number | undefined
  /**
   * The URL's `pool_mode`, and without one `'session'`. `'transaction'` for a proxy that gives each transaction another session, as PgBouncer does
   * with `pool_mode=transaction`: no named statements, and nothing that outlives a transaction.
   */
  readonly mode?: 'session' | 'transaction' | undefined
}

export interface PathCacheOptions {
  /** Time to live of an entry, in seconds, where the call does not say: 30 by default. */
  readonly ttlSeconds?: number | undefined
  /** Above so many entries, those that expire first are evicted by the next sweep: 10,000 by default. */
  readonly maxEntries?: number | undefined
  /** From one sweep to the next, in seconds, give or take a quarter: 10 by default. */
  readonly sweepSeconds?: number | undefined
  /**
   * `'topology'`: a node that is deleted, or whose `started`, `interfaces` or `protocols` change, takes the paths from, to and
   * across it with it, and a change of the policies all paths, in the same transaction, whichever program makes it.
   * `'manual'`: they last until they expire or are invalidated by a call. It is kept in the database, for all who use it;
   * unless given, it stays as it is, which is `'topology'` in a new one.
   */
  readonly invalidation?: 'topology' | 'manual' | undefined
}

/** How many backups are kept: the last ones, and the newest of each of the last hours, days and weeks (UTC). */
export interface Retention {
  readonly last?: number | undefined
  readonly hourly?: number | undefined
  readonly daily?: number | undefined
  readonly weekly?: number | undefined
}

/** Backups that the application makes while it runs. */
export interface BackupSchedule {
  /**
   * Created if it is missing. Each database has one to itself: what is due, and what is kept, is judged by folder. Processes on
   * several machines each have theirs, unless they share one.
   */
  readonly folder: string
  /** From one backup to the next, also across restarts and processes: the newest in the folder counts. */
  readonly everySeconds: number
  /** All are kept unless said. The newest that can be verified is never deleted. */
  readonly keep?: Retention | undefined
}
