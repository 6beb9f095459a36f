/** An open store, and its transactions. */
import type { BackupManifest, BackupOptions } from './backup.ts'
import type { Changes, ChangesOptions } from './changes.ts'
import type { MoveOptions, MoveReport } from './move.ts'
import type { PathCacheRepository, TransactionPathCache } from './path-cache.ts'
import type { NodeRepository, PolicyRepository } from './repositories.ts'

/** What a store and a transaction have in common. */
export interface Repositories {
  readonly nodes: NodeRepository
  readonly policies: PolicyRepository
  readonly pathCache: TransactionPathCache
}

/** What a transaction's callback works with. It ends with the callback; later use is MISUSE. */
export interface Transaction extends Repositories {
  /** A savepoint: if `work` throws, what it did is undone, and the outer transaction goes on. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

export interface TransactionOptions {
  /** A snapshot: every read sees the same moment, writes are refused (READ_ONLY), and no writer is held up. */
  readonly readOnly?: boolean | undefined
  /** How long it may run once begun, in milliseconds: 3,000 by default. Past it: TIMEOUT, rolled back. */
  readonly timeoutMs?: number | undefined
  /**
   * How often `work` may be run when other transactions were in its way, within `timeoutMs`: without limit by default. On
   * SQLite it is run once.
   */
  readonly attempts?: number | undefined
}

export interface StorageStats {
  readonly rows: { readonly nodes: number; readonly policies: number; readonly pathCache: number }
  readonly expiredPaths: number
  /** Size of the database. */
  readonly bytes: number
  /** Size of the write-ahead log. */
  readonly walBytes: number
  /** Writes that wait for the writer; on PostgreSQL those under way, too. */
  readonly queuedWrites: number
  /** The last migration applied, like `0000_create_tables`. */
  readonly schemaVersion: string
}

export interface Health {
  readonly canRead: boolean
  /** One small write of the library's own, committed. `false` for a read-only store. */
  readonly canWrite: boolean
  readonly readMs: number
  readonly writeMs: number
  /** When `backup()` last finished on this database. */
  readonly lastBackup: Date | undefined
  /**
   * What went wrong, by code; also in the last scheduled backup, sweep of the path cache, and pruning of the change log.
   * SCHEMA_MISMATCH names triggers and constraints that our tables have lost: run `meshstore migrate repair`.
   */
  readonly problems: readonly { readonly code: string; readonly message: string }[]
}

/** An open store. */
export interface Meshstore extends Repositories, AsyncDisposable {
  readonly pathCache: PathCacheRepository
  /** Where the data is now: `moveTo()` and `successor` change it. */
  readonly dialect: 'sqlite' | 'postgresql'
  /**
   * Runs `work`; commits when it resolves, rolls back when it rejects. It is as if nothing else ran meanwhile: on SQLite
   * nothing else writes; on PostgreSQL `work` is run again from its beginning when another transaction was in its way, so
   * that it should do nothing but use `tx`.
   *
   * Inside, use `tx`: using the store itself is MISUSE. Rejects with what `work` rejects with, or TIMEOUT, BUSY, or an
   * error of the commit.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** Counts the rows: it takes the longer the more there are. */
  stats(): Promise<StorageStats>
  /** Never rejects: what does not work is in the answer. */
  health(): Promise<Health>
  /**
   * Copies everything into one new file, as of now, while others go on; verified before it has its name. It is a SQLite file
   * with a manifest beside it, whatever the dialect, and can be restored into either.
   */
  backup(target: string, options?: BackupOptions): Promise<BackupManifest>
  /**
   * Moves everything from the SQLite file to an empty PostgreSQL database, while reads, writes and transactions go on, and then goes
   * on there: `dialect` says so. What is copied is compared before the switch, which is one commit: whatever happens, the data is
   * here or there. Called again with the same URL, it goes on with a move that was stopped.
   *
   * Rejects with CORRUPT, with `issues`, if there are rows that cannot live there; CONFIG if the target is not empty; CONFLICT if
   * what arrived is not what was sent; UNAVAILABLE and the like, and the signal's reason: then nothing has changed for the callers
   * of this store.
   */
  moveTo(url: string, options?: MoveOptions): Promise<MoveReport>
  /**
   * Every change that is committed to nodes, policies and cached paths, by whichever process or program: at least once, and of
   * each row in the order in which it came about. Rejects with CHANGES_MISSED if the subscriber stayed away for longer than
   * `keepSeconds`, or a million changes, or asks for what is gone: subscribe anew, then read everything. The log is written while
   * somebody subscribes; a change is there within some 25 ms. Not inside a transaction (MISUSE): it is no part of any. Throws
   * READ_ONLY on a read-only store, since a subscriber is noted in the database.
   */
  changes(options?: ChangesOptions): Changes
  /** Finishes the writes that were accepted, then closes. Later calls reject with CLOSED; closing twice is fine. */
  close(): Promise<void>
}
