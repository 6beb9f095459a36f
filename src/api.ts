/** The library's contract: every interface that an application sees. */
import type {
  CachedPath,
  MeshNode,
  MeshNodePatch,
  NewMeshNode,
  NewPolicy,
  PathBundle,
  PathKey,
  Policy,
  PolicyPatch,
  PolicySummary,
} from './schema/index.ts'

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
   * `'session'` (the default). `'transaction'` for a proxy that gives each transaction another session, as PgBouncer does
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

/** Where a page begins, and how long it is. */
export interface Page {
  /** At most so many: 100 by default, 10,000 at most. */
  readonly limit?: number | undefined
  /** The last key that was seen: the page begins behind it. */
  readonly after?: string | undefined
}

/** Only the nodes that match every property given. */
export interface NodeFilter {
  readonly started?: boolean | undefined
  /** Nodes that speak this protocol. */
  readonly protocol?: string | undefined
  /** Nodes that have this interface. */
  readonly interface?: string | undefined
}

/** Only the entries that match every property given. */
export interface CachedPathFilter {
  readonly source?: string | undefined
  readonly destination?: string | undefined
}

/** What to drop: paths from here, to there and by way of that node, as far as they are given. */
export interface InvalidationFilter extends CachedPathFilter {
  /** A node on the way, or at its ends. */
  readonly through?: string | undefined
}

/** How many entries a sweep has deleted. */
export interface SweepReport {
  readonly expired: number
  readonly invalidated: number
  /** Above `maxEntries`. */
  readonly evicted: number
}

export interface UpdateOptions {
  /**
   * Update only the row as it was read: its `updatedAt`, compared to the millisecond. CONFLICT if it has changed.
   */
  readonly ifUpdatedAt?: Date | undefined
}

/**
 * The nodes of the mesh, by id. Ids are 1–255 characters; order and paging follow their UTF-8 bytes.
 *
 * Every method rejects with VALIDATION for what it cannot take, with CORRUPT for a stored row that breaks the rules,
 * and with BUSY, CLOSED, READ_ONLY, STORAGE_FULL or OUTCOME_UNKNOWN as their descriptions say.
 */
export interface NodeRepository {
  /** Adds a node. `createdAt` is kept if given. Rejects with ALREADY_EXISTS. */
  create(node: NewMeshNode): Promise<MeshNode>
  /** Adds all of them or none; with ALREADY_EXISTS none. Any number: it is one transaction. */
  createMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]>
  /** `undefined` if there is no such node. */
  get(nodeId: string): Promise<MeshNode | undefined>
  /** Those that exist, in the order asked for. At most 10,000 ids. */
  getMany(nodeIds: readonly string[]): Promise<MeshNode[]>
  /** One page, in the order of the ids. */
  list(options?: NodeFilter & Page): Promise<MeshNode[]>
  /** All that match, in the order of the ids, in constant memory. Each id comes at most once. */
  iterate(filter?: NodeFilter): AsyncIterable<MeshNode>
  /** Changes the fields given and moves `updatedAt`. Rejects with NOT_FOUND, and with CONFLICT by `ifUpdatedAt`. */
  update(nodeId: string, patch: MeshNodePatch, options?: UpdateOptions): Promise<MeshNode>
  /** Adds the node, or replaces the fields given. `createdAt` is kept; times that are given are ignored. */
  save(node: NewMeshNode): Promise<MeshNode>
  /** Saves all of them or none, in order. */
  saveMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]>
  /** Adds to `routesDiscovered`, 1 by default, atomically; leaves `updatedAt` alone. Rejects with NOT_FOUND. */
  recordRoutes(nodeId: string, discovered?: number): Promise<MeshNode>
  /** Whether there was such a node. */
  delete(nodeId: string): Promise<boolean>
  count(filter?: NodeFilter): Promise<number>
}

/** The policies, by id. The same rules as for nodes. A text is YAML: up to 1 MiB, kept byte for byte. */
export interface PolicyRepository {
  /** Adds a policy. Rejects with ALREADY_EXISTS, and with VALIDATION (line and column) for what is not YAML. */
  create(policy: NewPolicy): Promise<Policy>
  /** Adds all of them or none. */
  createMany(policies: readonly NewPolicy[]): Promise<Policy[]>
  get(policyId: string): Promise<Policy | undefined>
  /** One page, in the order of the ids, without the texts. */
  list(options?: Page): Promise<PolicySummary[]>
  /** All of them, in the order of the ids, without the texts. */
  iterate(): AsyncIterable<PolicySummary>
  /** Rejects with NOT_FOUND, and with CONFLICT by `ifUpdatedAt`. */
  update(policyId: string, patch: PolicyPatch, options?: UpdateOptions): Promise<Policy>
  /** Adds the policy or replaces its text. */
  save(policy: NewPolicy): Promise<Policy>
  /** Whether there was such a policy. */
  delete(policyId: string): Promise<boolean>
  count(): Promise<number>
}

export interface CacheEntryOptions {
  /** Time to live, in seconds, to the millisecond. */
  readonly ttlSeconds?: number | undefined
}

export interface ComputeOptions extends CacheEntryOptions {
  /**
   * For so long after its end an old bundle will do: whoever asks gets it at once, and one computation, which nobody waits
   * for, puts a new one in its place. If that fails, the old one goes on serving until this time is up. 0 by default.
   *
   * Each process keeps what has expired for the longest that was asked of it: the sweep of another one, which was asked for
   * less, may delete it before.
   */
  readonly staleSeconds?: number | undefined
  /**
   * How long a computation that this call begins may take, in milliseconds. Past it, its signal aborts, and whoever waits gets
   * TIMEOUT. No limit by default.
   */
  readonly computeTimeoutMs?: number | undefined
  /** By up to this part of it, from 0 to 1, the time to live is shortened at random: what was stored together expires apart. */
  readonly jitter?: number | undefined
  /** This caller's patience. The computation is aborted when the last caller has lost it. */
  readonly signal?: AbortSignal | undefined
}

/** Finds the paths for a key. `signal` says that nobody waits for the answer any more. */
export type ComputePaths<B extends PathBundle> = (key: PathKey, context: { signal: AbortSignal }) => Promise<B> | B

/** A bundle and where it came from. */
export interface ResolvedPaths<B extends PathBundle = PathBundle> {
  readonly bundle: B
  /** `'stale'`: it has expired, within `staleSeconds`; `'computed'`: by this caller or by the one that it waited for. */
  readonly origin: 'hit' | 'stale' | 'computed'
  /** When the entry expires; of a bundle that could not be stored, the moment when it was found. */
  readonly expiresAt: Date
}

/** The counters are this process's, since the store was opened. */
export interface PathCacheStats {
  /** Rows in the database: with those that have expired or been invalidated, and that no sweep has deleted yet. */
  readonly entries: number
  /** Those of them that have expired. */
  readonly expired: number
  /** What the database does when nodes and policies change: see `PathCacheOptions`. */
  readonly invalidation: 'topology' | 'manual'
  readonly hits: number
  readonly misses: number
  /** Old bundles that were served by `staleSeconds`. */
  readonly staleHits: number
  readonly computations: number
  /** Callers that waited for a computation which another one had begun. */
  readonly joined: number
  /** Entries that this process's sweeps evicted above `maxEntries`. */
  readonly evictions: number
}

/**
 * Bundles of paths, each with a time to live. An expired one is never returned, from the millisecond it expires.
 *
 * A bundle is plain JSON: up to 1 MiB, 100 levels deep.
 */
export interface PathCacheRepository {
  get<B extends PathBundle = PathBundle>(key: PathKey): Promise<B | undefined>
  /** The same with its times. */
  getEntry(key: PathKey): Promise<CachedPath | undefined>
  /** Stores a bundle in place of the one that is there. */
  set<B extends PathBundle>(key: PathKey, bundle: B, options?: CacheEntryOptions): Promise<CachedPath>
  /** All of them or none, in order. */
  setMany(entries: readonly { key: PathKey; bundle: PathBundle; ttlSeconds?: number | undefined }[]): Promise<void>
  /**
   * The cached bundle, or the one that `compute` finds, which is then cached. However many ask for a key at once, it is
   * computed once in this process. An error of `compute` reaches every caller and is not cached. A bundle that cannot be
   * stored, because the disk is full or the store read-only, is returned all the same. Those who ask at once get the same
   * object: do not change it.
   *
   * Not inside a transaction (MISUSE): it would hold the only writer while paths are computed.
   */
  getOrCompute<B extends PathBundle>(key: PathKey, compute: ComputePaths<B>, options?: ComputeOptions): Promise<B>
  /** The same with where it came from, and when it expires. */
  resolve<B extends PathBundle>(
    key: PathKey,
    compute: ComputePaths<B>,
    options?: ComputeOptions,
  ): Promise<ResolvedPaths<B>>
  /** Whether there was one that had not expired. */
  delete(key: PathKey): Promise<boolean>
  /** One page of what has not expired, in the order of the cache keys. */
  list(options?: CachedPathFilter & Page): Promise<CachedPath[]>
  iterate(filter?: CachedPathFilter): AsyncIterable<CachedPath>
  /** What has not expired. */
  count(filter?: CachedPathFilter): Promise<number>
  /**
   * Drops what matches; an empty filter is refused (VALIDATION): that is `clear()`. Returns how many rows were deleted, expired
   * ones included. By `source` and `destination` an index finds them; by `through` all bundles are looked at, in batches, after
   * the paths have been marked: from then on nobody gets them.
   *
   * A computation that is under way is returned to those who wait for it, and to those who join them until it ends, but not
   * stored.
   */
  invalidate(filter: InvalidationFilter): Promise<number>
  /** Deletes what has expired, in batches of 500 unless `batchSize` says otherwise, and returns how many. */
  deleteExpired(options?: { now?: Date | undefined; batchSize?: number | undefined }): Promise<number>
  /** Drops everything, at once: the rows are deleted by the next sweep. Returns how many there were, expired ones included. */
  clear(): Promise<number>
  /**
   * Deletes what nobody gets any more: what has expired or been invalidated, and what is too much. It happens by itself,
   * every `sweepSeconds`, in small batches. Not inside a transaction (MISUSE).
   */
  sweep(): Promise<SweepReport>
  stats(): Promise<PathCacheStats>
  /**
   * The cached bundle as it is now, and again whenever it is stored, deleted or invalidated, by whichever process; `undefined` where
   * there is none. What has expired is not announced: `expiresAt` says when. Who is slow gets the latest. Not inside a transaction
   * (MISUSE). Rejects with the signal's reason.
   */
  watch(key: PathKey, options?: { signal?: AbortSignal | undefined }): AsyncIterableIterator<CachedPath | undefined>
}

export interface Repositories {
  readonly nodes: NodeRepository
  readonly policies: PolicyRepository
  readonly pathCache: PathCacheRepository
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
  /** What went wrong, by code; also in the last of the scheduled backups. */
  readonly problems: readonly { readonly code: string; readonly message: string }[]
}

export interface BackupOptions {
  /** Pages of a SQLite file; of PostgreSQL, rows. */
  readonly onProgress?: ((progress: { copiedPages: number; totalPages: number }) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a table holds: how many rows, and a hash over their content that is the same on every dialect. */
export interface TableContent {
  readonly rows: number
  readonly sha256: string
}

/** What is in a backup, as the manifest beside it says too. */
export interface BackupManifest {
  /** The whole path. */
  readonly file: string
  /** The moment that the backup shows. */
  readonly createdAt: Date
  readonly bytes: number
  /** Of the file. */
  readonly sha256: string
  /** The last migration that was applied. */
  readonly schemaVersion: string
  readonly tables: { readonly nodes: TableContent; readonly policies: TableContent; readonly pathCache: TableContent }
}

export interface RestoreOptions {
  /**
   * Replace the file that is there: a copy of it is kept beside it. Refused (BUSY) while somebody uses it. On PostgreSQL nothing
   * is ever replaced (CONFIG).
   */
  readonly replace?: boolean | undefined
  /** Bring the schema up to date afterwards: `true` by default, and on PostgreSQL always. */
  readonly migrate?: boolean | undefined
  readonly onProgress?: BackupOptions['onProgress']
  readonly signal?: AbortSignal | undefined
}

export interface RestoreReport extends BackupManifest {
  /** The database that was written; of a server's, without user and password. */
  readonly restoredTo: string
  /** The copy of what was there before. */
  readonly safetyCopy?: string
  /** The migrations that were applied after it was restored. */
  readonly migrated: readonly string[]
}

export interface CopyOptions {
  /** Look at everything, and change nothing. */
  readonly dryRun?: boolean | undefined
  /** Leave out the cached paths: they are computed anew. */
  readonly skipCache?: boolean | undefined
  /**
   * Where rows are written that cannot live in the target, as lines of JSON with every value; the copy then goes on without
   * them. A file that says the same already will do; no other one may be there.
   */
  readonly quarantine?: string | undefined
  /** How long to wait for others' locks, in milliseconds: 5,000 by default. */
  readonly busyTimeoutMs?: number | undefined
  /** Rows: each is looked at, copied, and compared. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined
  /** Each row that cannot live in the target, before anything is changed. */
  readonly onRefused?: ((row: RefusedRow) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CopyProgress {
  readonly step: 'checking' | 'copying' | 'comparing'
  readonly done: number
  readonly total: number
}

/** A row that cannot live in the target as it is. */
export interface RefusedRow {
  readonly table: 'nodes' | 'policies' | 'path_cache'
  /** As JSON, or words if it is no text. */
  readonly key: string
  /** The first that is wrong. */
  readonly column: string
  /** What is wrong with it; never its value. */
  readonly message: string
}

export interface CopiedTable {
  /** Rows that were, or with `dryRun` would be, copied. */
  readonly rows: number
  /** Rows that cannot live in the target. */
  readonly refused: number
  /** Over the content of those that were copied, the same in both databases; `undefined` with `dryRun`. */
  readonly sha256: string | undefined
}

export interface CopyReport {
  readonly from: 'sqlite' | 'postgresql'
  readonly to: 'sqlite' | 'postgresql'
  readonly dryRun: boolean
  /** The last migration, of both. */
  readonly schemaVersion: string
  /** A table that was left out is `undefined`. */
  readonly tables: {
    readonly nodes: CopiedTable | undefined
    readonly policies: CopiedTable | undefined
    readonly pathCache: CopiedTable | undefined
  }
  /** The file with the rows that were left out, if there were any. */
  readonly quarantine?: string
  /** The migrations that were applied to the target. */
  readonly migrated: readonly string[]
}

export interface MoveOptions {
  /**
   * How long writes may be held up for the switch, in milliseconds: 250 by default. If that would not do, they go on, and it is tried
   * again.
   */
  readonly maxPauseMs?: number | undefined
  readonly onProgress?: ((progress: MoveProgress) => void) | undefined
  /** Stops before the switch. What was copied stays: the next move to the same database goes on from there. */
  readonly signal?: AbortSignal | undefined
}

export interface MoveProgress {
  /** In this order; what is written meanwhile is followed, and the switch tried, until it is done. */
  readonly step: 'checking' | 'copying' | 'following' | 'verifying' | 'switching'
  /** Rows; when following, changes; when switching, attempts. */
  readonly done: number
  /** `undefined` where nobody knows. */
  readonly total: number | undefined
}

export interface MoveReport {
  /** In both databases. */
  readonly id: string
  /** Host, port and database. */
  readonly to: string
  /** What was compared in both, before the switch. */
  readonly tables: { readonly nodes: TableContent; readonly policies: TableContent; readonly pathCache: TableContent }
  /** Changes that were made meanwhile, and taken along. */
  readonly followed: number
  /** How often the switch was tried. */
  readonly attempts: number
  /** How long writers were held up by the last, in milliseconds. */
  readonly pauseMs: number
  /** The migrations that were applied to the target. */
  readonly migrated: readonly string[]
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

/** Something that was committed. It says what has changed, not into what: read it. */
export interface Change {
  readonly table: 'nodes' | 'policies' | 'path_cache'
  /**
   * Of a row: `'insert'`, also where it replaces one as a whole; `'update'`; `'delete'`. Of the path cache: `'invalidate'`, from
   * when on nobody gets those paths, while their rows are deleted later. `'truncate'`: all rows of a table on PostgreSQL.
   */
  readonly operation: 'insert' | 'update' | 'delete' | 'invalidate' | 'truncate'
  /** Of the row; `undefined` for the last two. In the path cache, the cache key. */
  readonly key: string | undefined
  /** Of an invalidation: which paths; all, if nothing is given. */
  readonly paths: InvalidationFilter | undefined
  /** Where to go on behind this change: `changes({ after: token })`. */
  readonly token: string
}

export interface ChangesOptions {
  /**
   * Begin behind the change, or the `ready()`, that had this token, of this or another process. From now on, if not given. The
   * last token is good as long as its subscriber's changes are kept; one of before it, a quarter of that time long.
   */
  readonly after?: string | undefined
  /**
   * How long changes are kept for this subscriber when it does not ask for them, also after its process was killed or its store
   * closed, in seconds: 600 by default.
   */
  readonly keepSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Changes extends AsyncIterableIterator<Change, undefined>, AsyncDisposable {
  /**
   * Resolves when nothing that is committed from now on is missed, with the token of where the caller is. The first `next()` waits
   * for it, too. BUSY on PostgreSQL, if a transaction has been open for 10 s since before anybody subscribed.
   */
  ready(): Promise<string>
  /** Ends it: what it has not read is not kept for it. `break` in a loop does it, and the signal. */
  return(): Promise<IteratorResult<Change, undefined>>
}

/** An open store. */
export interface Meshstore extends Repositories, AsyncDisposable {
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
