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
  StorageOptions,
  StorageStats,
  Transaction,
  TransactionOptions,
} from './api.ts'
import { BackupScheduler } from './backup/schedule.ts'
import { ChangeStream } from './changes/stream.ts'
import { PathWatchers } from './changes/watch.ts'
import { type Config, configOf, openTarget, successorOf } from './config.ts'
import { InUse } from './database/in-use.ts'
import type { PostgresTarget } from './database/postgres/url.ts'
import type { Database, Session } from './database/session.ts'
import { SwitchingDatabase } from './database/switching-database.ts'
import { misuse, StorageError } from './errors.ts'
import { assertArrived, assertNotFilled } from './move/live/arrival.ts'
import { SqlNodeRepository } from './repositories/node-repository.ts'
import { SqlPathCacheRepository } from './repositories/path-cache-repository.ts'
import { PathCacheState } from './repositories/path-cache-state.ts'
import { PathCacheSweeper } from './repositories/path-cache-sweeper.ts'
import { SqlPolicyRepository } from './repositories/policy-repository.ts'
import { invalidationOf, remember, remembered } from './repositories/state.ts'
import * as rules from './schema/rules.ts'
import { type BackupEvent, backupTracing, tracePromise } from './tracing.ts'

/**
 * Opens a store: creates the file, and its folder, if they are missing, and brings the schema up to date.
 *
 * Rejects with CONFIG for what cannot be used, SCHEMA_MISMATCH, CORRUPT, BUSY or UNAVAILABLE.
 */
export async function openStorage(target: string | StorageOptions): Promise<Meshstore> {
  const config = configOf(target)
  const database = await config.open(config)
  const switching = await switchingOn(database, config)
  const store = new Store(switching ?? database, config)
  try {
    // The data may have moved already.
    await switching?.settled()
    if (database.dialect === 'postgresql') await assertNotFilled(database.session)
    await settleInvalidation((switching ?? database).session, config)
    store.start()
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/** A file's data may move to PostgreSQL while it is open. */
async function switchingOn(database: Database, config: Config): Promise<SwitchingDatabase | undefined> {
  if (database.dialect === 'postgresql') return undefined
  const { SqliteDatabase } = await import('./database/sqlite/sqlite-database.ts')
  if (!(database instanceof SqliteDatabase) || database.path === ':memory:') return undefined
  const { successor, maxPendingWrites, readOnly } = config
  const follow = async ({ id }: { readonly id: string }): Promise<Database> => {
    const next = await openTarget(successor as PostgresTarget, config)
    try {
      await assertArrived(next, id, readOnly)
      return next
    } catch (error) {
      await next.close()
      throw error
    }
  }
  return new SwitchingDatabase(database, { maxPendingWrites, successor: successor && follow })
}

/** It is the database's, so that the triggers know it. */
async function settleInvalidation(session: Session, { pathCache, readOnly, now }: Config): Promise<void> {
  const { invalidation } = pathCache
  if (invalidation === undefined) return
  const found = await invalidationOf(session)
  if (found === invalidation) return
  if (readOnly) {
    const message = `The invalidation of this database is '${found}', and a read-only store cannot change it to '${invalidation}'.`
    throw new StorageError('CONFIG', message)
  }
  await remember(session, { name: 'path_cache_invalidation', value: invalidation, updatedAt: now() })
}

const TRANSACTION_RULES: rules.Rules = {
  readOnly: rules.isFlag,
  timeoutMs: rules.isInteger(1, rules.MAX_TIMER_MS),
  attempts: rules.isInteger(1, 1_000),
}
const DEFAULT_LIMITS = { readOnly: false, timeoutMs: 3_000, attempts: Number.POSITIVE_INFINITY }

const MOVE_RULES: rules.Rules = {
  maxPauseMs: rules.isInteger(1, rules.MAX_TIMER_MS),
  onProgress: rules.isFunction,
  signal: rules.isSignal,
}

/** Where others hold the lock for longer, a backup is noted after its caller was told of it. */
const NOTED_WITHIN_MS = 1_000

class Store implements Meshstore {
  readonly nodes: NodeRepository
  readonly policies: PolicyRepository
  readonly pathCache: PathCacheRepository
  readonly #database: Database
  readonly #config: Config
  readonly #pathCache: PathCacheState
  readonly #schedule: BackupScheduler | undefined
  readonly #sweeper: PathCacheSweeper | undefined
  readonly #backingUp = new InUse()
  readonly #streams = new Set<ChangeStream>()
  #moving: Promise<MoveReport> | undefined

  constructor(database: Database, config: Config) {
    this.#database = database
    this.#config = config
    this.#pathCache = new PathCacheState(config.pathCache)
    const { nodes, policies, pathCache } = this.#repositories(database.session)
    this.nodes = nodes
    this.policies = policies
    this.pathCache = pathCache
    this.#schedule = config.backups && this.#scheduled(config.backups)
    this.#sweeper = config.readOnly ? undefined : this.#sweeping()
    if (database instanceof SwitchingDatabase) database.onSwitched = (from) => this.#switched(from)
    if (!config.readOnly) this.#pathCache.watch = this.#watching()
  }

  /** What runs by itself. */
  start(): void {
    this.#sweeper?.start()
  }

  /** Where computations under way began is not known in the other database. */
  async #switched(from: Database): Promise<void> {
    this.#pathCache.flights.spoilAll()
    await Promise.all(Array.from(this.#streams, (stream) => stream.left(from.changeLog)))
  }

  #watching(): PathCacheRepository['watch'] {
    const watchers = new PathWatchers({
      subscribe: () => this.#subscribe(),
      read: (key) => this.pathCache.getEntry(key),
    })
    return (key, options) => watchers.watch(key, options ?? {})
  }

  #scheduled(backups: NonNullable<Config['backups']>): BackupScheduler {
    const make = (target: string, signal: AbortSignal) => this.#backup(target, { signal }, 'schedule')
    return new BackupScheduler({ ...backups, now: this.#config.now, make })
  }

  #sweeping(): PathCacheSweeper {
    const state = this.#pathCache
    const { session } = this.#database
    const earlierWritersEnded = () => this.#database.earlierWritersEnded()
    const pruneChanges = () => this.#database.changeLog.prune(new Date())
    const sweeper = new PathCacheSweeper({ session, state, now: this.#config.now, earlierWritersEnded, pruneChanges })
    state.onMarks = () => sweeper.wake()
    state.sweep = () => sweeper.sweep()
    return sweeper
  }

  get dialect(): 'sqlite' | 'postgresql' {
    return this.#database.dialect
  }

  #repositories(session: Session): Repositories {
    const { now, countRules } = this.#config
    return {
      nodes: new SqlNodeRepository(session, now),
      policies: new SqlPolicyRepository(session, { now, countRules }),
      pathCache: new SqlPathCacheRepository(session, { now, pathCache: this.#pathCache }),
    }
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

  #transaction(session: Session): Transaction {
    return {
      ...this.#repositories(session),
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
    const { session } = this.#database
    const problems: { code: string; message: string }[] = []
    const probe = async (action: () => Promise<unknown>): Promise<{ works: boolean; milliseconds: number }> => {
      const begun = performance.now()
      try {
        await action()
        return { works: true, milliseconds: performance.now() - begun }
      } catch (error) {
        problems.push(problemOf(error))
        return { works: false, milliseconds: performance.now() - begun }
      }
    }
    let lastBackup: Date | undefined
    const read = await probe(async () => {
      lastBackup = (await remembered(session, 'last_backup'))?.updatedAt
    })
    const write = readOnly
      ? { works: false, milliseconds: 0 }
      : await probe(() => remember(session, { name: 'last_health_check', value: '', updatedAt: now() }))
    const failures = { 'scheduled backup': this.#schedule?.failure, 'sweep of the path cache': this.#sweeper?.failure }
    for (const [what, failure] of Object.entries(failures)) {
      if (failure === undefined) continue
      const { code, message } = problemOf(failure)
      problems.push({ code, message: `The ${what} failed: ${message}` })
    }
    return {
      canRead: read.works,
      canWrite: write.works,
      readMs: read.milliseconds,
      writeMs: write.milliseconds,
      lastBackup,
      problems,
    }
  }

  async backup(target: string, options: BackupOptions = {}): Promise<BackupManifest> {
    return this.#backup(target, options, 'call')
  }

  async #backup(target: string, options: BackupOptions, trigger: BackupEvent['trigger']): Promise<BackupManifest> {
    const { now, readOnly } = this.#config
    const manifest = await tracePromise(backupTracing, { trigger }, async (event) => {
      const made = await this.#backingUp.while(() => this.#database.backup(target, options, now))
      event.bytes = made.bytes
      return made
    })
    if (!readOnly) {
      const note = { name: 'last_backup', value: manifest.schemaVersion, updatedAt: now() } as const
      // The backup is there and verified, whether or not this can be noted, and nobody waits long for it.
      await atMost(
        NOTED_WITHIN_MS,
        remember(this.#database.session, note).catch(() => {}),
      )
    }
    return manifest
  }

  async moveTo(url: string, options: MoveOptions = {}): Promise<MoveReport> {
    rules.checkOptions('The options', MOVE_RULES, options)
    const database = this.#database
    if (!(database instanceof SwitchingDatabase) || database.current !== database.file)
      throw misuse('Data moves from a SQLite file alone, once.')
    if (this.#config.readOnly) throw new StorageError('READ_ONLY', 'The store was opened read-only.')
    const refused = database.session.refusal()
    if (refused !== undefined) throw refused
    if (this.#moving !== undefined) throw misuse('A move of this store is under way.')
    const move = this.#move(database, url, options)
    this.#moving = move
    try {
      return await move
    } finally {
      this.#moving = undefined
    }
  }

  async #move(database: SwitchingDatabase, url: string, options: MoveOptions): Promise<MoveReport> {
    const { file } = database
    const to = successorOf(url)
    const { busyTimeoutMs } = this.#config
    const signal = AbortSignal.any([this.#pathCache.closing, ...(options.signal ? [options.signal] : [])])
    let next: Database | undefined
    const onReady = async (): Promise<void> => {
      next = await openTarget(to, this.#config)
      database.leadTo(next)
    }
    try {
      const { moveLive } = await import('./move/live/index.ts')
      const report = await moveLive({ file, url, to, busyTimeoutMs, options: { ...options, signal }, onReady })
      await database.settled()
      return report
    } finally {
      // Whatever became of the move: the file says where the data is.
      await database.settled().catch(() => {})
      if (next !== undefined && database.current !== next) {
        database.leadTo(undefined)
        await next.close()
      }
    }
  }

  changes(options: ChangesOptions = {}): Changes {
    if (this.#config.readOnly) {
      throw new StorageError('READ_ONLY', 'The store was opened read-only: a subscriber is noted in the database.')
    }
    return this.#subscribe(options)
  }

  #subscribe(options: ChangesOptions = {}): ChangeStream {
    const stream = new ChangeStream(this.#database, options, () => this.#streams.delete(stream))
    this.#streams.add(stream)
    return stream
  }

  async close(): Promise<void> {
    const closed = new StorageError('CLOSED', 'The store is closed.')
    const consumers = Array.from(this.#streams, (stream) => stream.stop(closed) ?? [])
    this.#schedule?.stop()
    this.#sweeper?.stop()
    this.#pathCache.stop()
    try {
      // Nothing new begins from here on, and closing waits for a backup that is being made.
      await Promise.all([this.#database.close(consumers.flat()), this.#backingUp.idle(), this.#moving?.catch(() => {})])
    } catch (error) {
      this.#schedule?.start()
      this.#sweeper?.start()
      this.#pathCache.start()
      throw error
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Waits no longer than that; the work goes on. */
async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, milliseconds)
  await Promise.race([work, late.promise])
  clearTimeout(timer)
}

function problemOf(error: unknown): { code: string; message: string } {
  if (error instanceof StorageError) return { code: error.code, message: error.message }
  return { code: 'UNAVAILABLE', message: 'The database did not answer.' }
}
