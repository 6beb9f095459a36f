import type {
  BackupManifest,
  BackupOptions,
  Changes,
  ChangesOptions,
  Health,
  Meshstore,
  MoveOptions,
  MoveReport,
  NodeRepository,
  PathCacheRepository,
  PolicyRepository,
  Repositories,
  SchemaTypes,
  Statements,
  StorageStats,
  SweepReport,
  TableRepositories,
  Transaction,
  TransactionOptions,
} from './api.ts'
import { createBackup } from './backup/create.ts'
import { BackupScheduler } from './backup/schedule.ts'
import { Subscriptions } from './changes/subscriptions.ts'
import { InUse } from './database/in-use.ts'
import { MovableDatabase } from './database/movable-database.ts'
import type { Database, Session, TransactionSession } from './database/session.ts'
import { misuse, StorageError } from './errors.ts'
import { machineTime } from './event-loop.ts'
import { healthOf, WITHOUT } from './health.ts'
import { Maintenance } from './maintenance.ts'
import { StoreMove } from './move/live/store-move.ts'
import type { Config } from './open/config.ts'
import { type CachedPathsOptions, TransactionCachedPaths } from './path-cache/cached-paths.ts'
import { PathCacheState } from './path-cache/state.ts'
import { StorePathCache } from './path-cache/store-path-cache.ts'
import { PathCacheSweeper } from './path-cache/sweeper.ts'
import { replicated } from './replication/index.ts'
import type { Shipper } from './replication/shipper.ts'
import { SqlNodeRepository } from './repositories/node-repository.ts'
import { SqlPolicyRepository } from './repositories/policy-repository.ts'
import { remember } from './repositories/state.ts'
import { otherDataText } from './rows/other-data.ts'
import * as rules from './schema/rules.ts'
import { type OwnTables, statementsOnDemand } from './tables/on-demand.ts'
import { type BackupEvent, backupTracing, tracePromise } from './tracing.ts'

const TRANSACTION_RULES: rules.Rules = {
  readOnly: rules.isFlag,
  timeoutMs: rules.isInteger(1, rules.MAX_TIMER_MS),
  attempts: rules.isInteger(1, 1_000),
}
const DEFAULT_SWEEP_SECONDS = 10
const DEFAULT_LIMITS = { readOnly: false, timeoutMs: 3_000, attempts: Number.POSITIVE_INFINITY }

/** Limit for recording a finished backup, in milliseconds. While the lock is held longer, `backup()` resolves first. */
const NOTED_WITHIN_MS = 1_000

export class Store implements Meshstore {
  readonly nodes: NodeRepository
  readonly policies: PolicyRepository
  readonly pathCache: PathCacheRepository
  readonly tables: TableRepositories<SchemaTypes>
  readonly query: Statements<SchemaTypes>['query']
  readonly run: Statements<SchemaTypes>['run']
  readonly #database: Database
  readonly #config: Config
  readonly #own: OwnTables | undefined
  readonly #cachedPaths: CachedPathsOptions
  readonly #schedule: BackupScheduler | undefined
  readonly #shipper: Promise<Shipper> | undefined
  readonly #maintenance: Maintenance<'sweep' | 'prune'> | undefined
  readonly #backingUp = new InUse()
  readonly #subscriptions: Subscriptions
  readonly #moving: StoreMove
  #closing = new AbortController()

  /** `own`: loaded for applications with tables of their own. */
  constructor(database: Database, config: Config, own?: OwnTables) {
    this.#database = database
    this.#config = config
    this.#own = own
    this.#subscriptions = new Subscriptions(database, config)
    this.#moving = new StoreMove(database, config)
    this.#schedule = config.backups && this.#scheduled(config.backups)
    this.#shipper = replicated(database, config)
    const session: Session = database
    const { nodes, policies } = this.#repositories(session)
    this.nodes = nodes
    this.policies = policies
    const { now } = config
    this.tables = this.#tables(session)
    const { query, run } = this.#statements(session)
    this.query = query
    this.run = run
    const state = new PathCacheState(config.pathCache)
    const closing = (): AbortSignal => this.#closing.signal
    const earlierWritersEnded = (): Promise<boolean> => database.earlierWritersEnded()
    const sweeper = new PathCacheSweeper({ session, state, now, closing, earlierWritersEnded })
    const jobs = {
      sweep: { name: 'sweep of the path cache', run: () => sweeper.sweep('timer') },
      prune: { name: 'pruning of the change log', run: () => this.#pruneChanges() },
    }
    const everySeconds = config.pathCache.sweepSeconds ?? DEFAULT_SWEEP_SECONDS
    this.#maintenance = config.readOnly ? undefined : new Maintenance(jobs, everySeconds)
    this.#cachedPaths = { now, state, onPending: () => this.#maintenance?.soon('sweep') }
    this.pathCache = new StorePathCache(session, {
      ...this.#cachedPaths,
      closing,
      sweep: config.readOnly ? undefined : () => this.#sweep(sweeper),
      subscribe: config.readOnly ? undefined : () => this.#subscriptions.begin({}, { mayResume: false }),
    })
    if (database instanceof MovableDatabase) {
      database.onCutover(async (from) => {
        // A running computation's position belongs to the old database: its result must not be stored in the new one.
        state.flights.spoilAll()
        await this.#subscriptions.left(from.changeLog)
      })
    }
  }

  /** Starts the background jobs. */
  start(): void {
    this.#maintenance?.start()
    this.#shipper?.then(
      (shipper) => shipper.start(),
      () => {},
    )
  }

  /** Rejects with CONFIG if the database cannot be replicated to the place. */
  async prepared(): Promise<void> {
    await this.#shipper
  }

  /** A sweep by hand also prunes the change log. */
  async #sweep(sweeper: PathCacheSweeper): Promise<SweepReport> {
    const report = await sweeper.sweep('call')
    await this.#pruneChanges()
    return report
  }

  #scheduled(backups: NonNullable<Config['backups']>): BackupScheduler {
    const make = (target: string, signal: AbortSignal) => this.#backup(target, { signal }, 'schedule')
    return new BackupScheduler({ ...backups, now: this.#config.now, make })
  }

  async #pruneChanges(): Promise<void> {
    const { changeLog } = this.#database
    try {
      await changeLog.prune(machineTime())
    } catch (error) {
      await this.#database.settled()
      // Ignore the error if the data has moved meanwhile: the old log is no longer needed.
      if (this.#database.changeLog === changeLog) throw error
    }
  }

  get dialect(): 'sqlite' | 'postgresql' {
    return this.#database.dialect
  }

  #repositories(session: Session): Pick<Repositories, 'nodes' | 'policies'> {
    const { now, countRules } = this.#config
    return {
      nodes: new SqlNodeRepository(session, now),
      policies: new SqlPolicyRepository(session, { now, countRules }),
    }
  }

  #tables(session: Session): TableRepositories<SchemaTypes> {
    const { own, now } = this.#config
    return this.#own?.repositoriesOf(own?.byName ?? {}, session, now) ?? {}
  }

  #statements(session: Session): Statements<SchemaTypes> {
    return this.#own?.statementsOn(session, this.#config.own?.byName) ?? statementsOnDemand(session)
  }

  async transaction<T>(work: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    rules.checkValue('work', rules.isFunction, work)
    rules.checkOptions('The options', TRANSACTION_RULES, options)
    const limits = {
      readOnly: options.readOnly ?? DEFAULT_LIMITS.readOnly,
      timeoutMs: options.timeoutMs ?? DEFAULT_LIMITS.timeoutMs,
      attempts: options.attempts ?? DEFAULT_LIMITS.attempts,
    }
    return this.#database.transaction((session) => work(this.#transaction(session)), limits)
  }

  #transaction(session: TransactionSession): Transaction {
    return {
      ...this.#repositories(session),
      ...this.#statements(session),
      tables: this.#tables(session),
      pathCache: new TransactionCachedPaths(session, this.#cachedPaths),
      transaction: async (work) => {
        rules.checkValue('work', rules.isFunction, work)
        return session.transaction((nested) => work(this.#transaction(nested)))
      },
    }
  }

  async stats(): Promise<StorageStats> {
    const [nodes, policies, cache, size] = await Promise.all([
      this.nodes.count(),
      this.policies.count(),
      this.pathCache.stats(),
      this.#database.size(),
    ])
    return {
      rows: { nodes, policies, pathCache: cache.entries },
      expiredPaths: cache.expired,
      ...size,
      schemaVersion: await this.#database.schemaVersion(),
    }
  }

  async health(): Promise<Health> {
    const { now, readOnly } = this.#config
    const failures = { 'scheduled backup': this.#schedule?.failure, ...this.#maintenance?.failures() }
    const found = await healthOf({ database: this.#database, now, readOnly, failures })
    const subscribers = this.#subscriptions.health()
    const health = { ...found, ...(subscribers && { subscribers }) }
    const replication = (await this.#shipper)?.health()
    if (replication === undefined) return health
    const { problem, leftBehind } = replication
    const problems = problem === undefined ? [...health.problems] : [...health.problems, problem]
    if (leftBehind.length > 0)
      problems.push({
        code: 'SCHEMA_MISMATCH',
        message: `The replica leaves out what no table() describes: ${leftBehind.join(', ')}. Nothing of it is shipped. Describe these tables with openStorage({ tables }), or keep backups.`,
      })
    return { ...health, replication, problems }
  }

  async flushReplica(): Promise<void> {
    const refused = this.#database.refusal()
    if (refused !== undefined) throw refused
    if (this.#shipper === undefined)
      throw misuse('The store was opened without the option replicate. Open it with that option.')
    await (await this.#shipper).flush()
  }

  async backup(target: string, options: BackupOptions = {}): Promise<BackupManifest> {
    return this.#backup(target, options, 'call')
  }

  async #backup(target: string, options: BackupOptions, trigger: BackupEvent['trigger']): Promise<BackupManifest> {
    const { now, readOnly } = this.#config
    const manifest = await tracePromise(backupTracing, { trigger }, async (event) => {
      const made = await this.#backingUp.while(() => createBackup(this.#database, target, options, now))
      event.bytes = made.bytes
      return made
    })
    if (!readOnly) {
      const { schemaVersion, leftBehind = [] } = manifest
      const value = leftBehind.length > 0 ? `${schemaVersion}${WITHOUT}${otherDataText(leftBehind)}` : schemaVersion
      const note = { name: 'last_backup', value, updatedAt: now() } as const
      // The backup is complete, also if this note fails or takes long.
      await atMost(
        NOTED_WITHIN_MS,
        remember(this.#database, note).catch(() => {}),
      )
    }
    return manifest
  }

  moveTo(url: string, options: MoveOptions = {}): Promise<MoveReport> {
    return this.#moving.run(url, options, this.#closing.signal)
  }

  changes(options: ChangesOptions = {}): Changes {
    return this.#subscriptions.begin(options)
  }

  async close(): Promise<void> {
    // Inside a transaction close() is refused before anything of the store ends.
    if (this.#database.refusal()?.code === 'MISUSE') return this.#database.close()
    const closed = new StorageError(
      'CLOSED',
      'The store is closed. Nothing was written. Open a new one with openStorage().',
    )
    const consumers = this.#subscriptions.stop(closed)
    this.#schedule?.stop()
    this.#maintenance?.stop()
    this.#closing.abort(closed)
    try {
      // No new work begins from here on; closing waits for a running backup or move.
      await Promise.all([
        this.#database.close(consumers),
        this.#backingUp.idle(),
        this.#moving.idle(),
        this.#shipper?.then(
          (shipper) => shipper.stop(),
          () => {},
        ),
      ])
    } catch (error) {
      this.#closing = new AbortController()
      this.#schedule?.start()
      this.start()
      throw error
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Waits up to the limit. The work goes on. */
async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, milliseconds)
  await Promise.race([work, late.promise])
  clearTimeout(timer)
}
