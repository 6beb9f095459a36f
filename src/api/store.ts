/** An open store, and its transactions. */
import type { BackupManifest, BackupOptions } from './backup.ts'
import type { Changes, ChangesOptions } from './changes.ts'
import type { MoveOptions, MoveReport } from './move.ts'
import type { PathCacheRepository, TransactionPathCache } from './path-cache.ts'
import type { NodeRepository, PolicyRepository } from './repositories.ts'
import type { NoTables, SchemaTypes, Statements, TableRepositories } from './tables.ts'

/**
 * The repositories that a store and a transaction have in common.
 *
 * Every method can reject with BUSY, CLOSED, MISUSE (the store is used inside a transaction), MOVED or UNAVAILABLE. Every write can
 * also reject with CONFLICT (a trigger or constraint refused it), READ_ONLY, STORAGE_FULL or OUTCOME_UNKNOWN. Each method's
 * `@throws` lists its other codes; `docs/reference/errors.md` says what each code means.
 */
export interface Repositories {
  readonly nodes: NodeRepository
  readonly policies: PolicyRepository
  readonly pathCache: TransactionPathCache
}

/** The argument of a transaction's callback. It ends with the callback; later use is MISUSE. */
export interface Transaction<S extends SchemaTypes = NoTables> extends Repositories, Statements<S> {
  /** The application's own tables: those of `openStorage({ tables })`. */
  readonly tables: TableRepositories<S>
  /**
   * Runs `work` in a savepoint: if `work` throws, only its own writes are undone, and the outer transaction goes on.
   *
   * @throws {StorageError} VALIDATION, MISUSE; also the error that `work` throws
   */
  transaction<T>(work: (tx: Transaction<S>) => Promise<T>): Promise<T>
}

export interface TransactionOptions {
  /** Opens a snapshot: every read sees the same moment, writes are refused (READ_ONLY), and no writer is held up. Default: `false`. */
  readonly readOnly?: boolean | undefined
  /** Time limit once the transaction has begun, in milliseconds: 3,000 by default. Past it: TIMEOUT, rolled back. */
  readonly timeoutMs?: number | undefined
  /**
   * Maximum number of runs of `work` within `timeoutMs`, when conflicts with other transactions make it run again: 1 to 1,000, no
   * limit by default. On SQLite it is run once.
   */
  readonly attempts?: number | undefined
}

export interface StorageStats {
  readonly rows: { readonly nodes: number; readonly policies: number; readonly pathCache: number }
  readonly expiredPaths: number
  /** Size of the database, in bytes. */
  readonly bytes: number
  /** Size of the write-ahead log, in bytes. */
  readonly walBytes: number
  /**
   * Number of times that the write-ahead log began anew while this store was open: a checkpoint had moved all of it into the file.
   * Counted each time `stats()` is called. `undefined` on PostgreSQL, and for a store that keeps no watch on a log.
   */
  readonly walRestarts: number | undefined
  /** Number of writes that wait for the writer; on PostgreSQL also the writes under way. */
  readonly queuedWrites: number
  /** The last migration applied, like `0000_create_tables`. */
  readonly schemaVersion: string
}

export interface Health {
  readonly canRead: boolean
  /** Whether a small write of the library's own was committed. `false` for a read-only store. */
  readonly canWrite: boolean
  /** Duration of the test read, in milliseconds. */
  readonly readMs: number
  /** Duration of the test write, in milliseconds. */
  readonly writeMs: number
  /** When `backup()` last finished on this database. */
  readonly lastBackup: Date | undefined
  /**
   * Problems by code, including those of the last scheduled backup, sweep of the path cache, and pruning of the change log.
   * SCHEMA_MISMATCH names triggers and constraints that our tables have lost: run `meshstore migrate repair`. It names triggers of own
   * tables, too: the next open makes them again.
   */
  readonly problems: readonly { readonly code: string; readonly message: string }[]
  /** With the option `replicate`: how far the replica is. */
  readonly replication?: ReplicationHealth
  /** With streams of `changes()` or `pathCache.watch()` from this store that are read: how far they are. */
  readonly subscribers?: SubscribersHealth
}

/** How far the streams of changes are that this store's callers read. */
export interface SubscribersHealth {
  readonly open: number
  /** How long ago the slowest one last had every change, in seconds. A stream that waits for changes has them all: 0. */
  readonly behindSeconds: number
}

/** How far the replica of a database is. */
export interface ReplicationHealth {
  /** The folder or the bucket. */
  readonly place: string
  /** Everything that was committed up to this moment can be restored. `undefined`: nothing was shipped yet. */
  readonly upTo: Date | undefined
  /** Age of `upTo`, in seconds: what a lost machine would lose. */
  readonly behindSeconds: number | undefined
  /** Another process ships this database. This one takes over when nothing arrives from the other one any more. */
  readonly standsBy: boolean
  /** Tables that `openStorage({ tables })` does not describe, and the application's columns in ours. A replica does not hold them: back them up. */
  readonly leftBehind: readonly string[]
  /** Why the last step failed; it is tried again. MOVED: another database was promoted. */
  readonly problem: { readonly code: string; readonly message: string } | undefined
}

/** An open store. */
export interface Meshstore<S extends SchemaTypes = NoTables> extends Repositories, Statements<S>, AsyncDisposable {
  /** The application's own tables: those of `openStorage({ tables })`. */
  readonly tables: TableRepositories<S>
  readonly pathCache: PathCacheRepository
  /** The dialect of the database that the store uses now. `moveTo()` and `successor` change it. */
  readonly dialect: 'sqlite' | 'postgresql'
  /**
   * Runs `work`; commits when it resolves, rolls back when it rejects. Transactions are serializable: on SQLite nothing else
   * writes meanwhile; on PostgreSQL `work` is run again from its beginning when it conflicts with another transaction. So `work`
   * should have no effect other than through `tx`.
   *
   * Use `tx` inside the callback: using the store itself is MISUSE.
   *
   * @example
   * await store.transaction(async (tx) => {
   *   await tx.nodes.update('gw-1', { started: false })
   *   await tx.pathCache.invalidate({ through: 'gw-1' })
   * })
   *
   * @throws {StorageError} TIMEOUT, BUSY, VALIDATION (options), MISUSE, READ_ONLY, OUTCOME_UNKNOWN (a failed commit); also the error
   * that `work` throws
   */
  transaction<T>(work: (tx: Transaction<S>) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** Returns statistics. It counts the rows, so it takes longer the more there are. */
  stats(): Promise<StorageStats>
  /** Tests a read and a write, and returns a report. Never rejects: problems are in the report. */
  health(): Promise<Health>
  /**
   * Resolves when the replica has everything that was committed before this call.
   *
   * @throws {StorageError} MISUSE without the option `replicate`; BUSY if another process ships this database; why the place cannot be
   * written
   */
  flushReplica(): Promise<void>
  /**
   * Copies a consistent snapshot into one new file, while reads and writes go on. The file gets its name only after it was
   * verified. On both dialects it is a SQLite file with a manifest beside it, and you can restore it into either.
   *
   * @throws {StorageError} CONFIG (the path cannot be used, or there is a file already), CORRUPT, STORAGE_FULL, READ_ONLY (the
   * folder), UNAVAILABLE, MISUSE (inside a transaction), CLOSED; also the reason of `signal`
   */
  backup(target: string, options?: BackupOptions): Promise<BackupManifest>
  /**
   * Moves the data from the SQLite file to an empty PostgreSQL database, while reads, writes and transactions go on. The store then
   * uses the new database, and `dialect` is `'postgresql'`. The copy is compared with the file before the switch. The switch is one
   * commit: exactly one database is authoritative at any time. Called again with the same URL, it continues a move that was stopped.
   *
   * If it rejects with a code below or the signal's reason, nothing has changed for the callers of this store.
   *
   * @example
   * const { pauseMs } = await store.moveTo('postgres://app@db.example/mesh', { maxPauseMs: 100 })
   *
   * @throws {StorageError} CORRUPT (rows that PostgreSQL cannot hold, see `issues`), CONFIG (the URL cannot be used, or the target is
   * not empty), CONFLICT (the target's content differs from the file), SCHEMA_MISMATCH (the application's own tables, see
   * `ignoreOtherTables`), MISUSE (not a SQLite file, or a move is under way), READ_ONLY, MOVED, UNAVAILABLE; also the reason of
   * `signal`
   */
  moveTo(url: string, options?: MoveOptions): Promise<MoveReport>
  /**
   * Change data capture: yields every change that any process or program commits to nodes, policies and cached paths. Each change
   * comes at least once, and changes of one row come in commit order. The triggers write the log only while there is a subscriber.
   * A commit of this store wakes the stream at once. For other programs' commits the store polls the log: every 25 ms while
   * changes come, and up to 250 ms apart when nothing changes. All streams of a store share the poll.
   *
   * A subscriber that stays away for longer than `keepSeconds`, or falls a million changes behind, gets CHANGES_MISSED. So does a
   * resume token whose changes are gone. Then subscribe anew, and read everything after `ready()`.
   *
   * @example
   * for await (const change of store.changes({ after: lastToken })) {
   *   await apply(change)
   *   lastToken = change.token // store it, to resume after a restart
   * }
   *
   * @throws {StorageError} VALIDATION, READ_ONLY on a read-only store, because a subscriber is recorded in the database; while
   * iterating CHANGES_MISSED, BUSY, CLOSED, MISUSE (inside a transaction)
   */
  changes(options?: ChangesOptions): Changes
  /**
   * Finishes the writes that were accepted, then closes. Later calls reject with CLOSED; closing twice is fine.
   *
   * @throws {StorageError} MISUSE inside a transaction; the store stays open
   */
  close(): Promise<void>
}
