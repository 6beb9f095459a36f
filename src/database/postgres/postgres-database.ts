import type pg from 'pg'
import { StorageError } from '../../errors.ts'
import { performance } from '../../event-loop.ts'
import { TABLE_ROW } from '../../schema/described.ts'
import { OUR_TABLES } from '../../schema/tables.ts'
import {
  type CommitEvent,
  commitTracing,
  type TransactionEvent,
  traceLong,
  tracePromise,
  traceRefusal,
  transactionTracing,
} from '../../tracing.ts'
import { CommitSignal } from '../commit-signal.ts'
import { InUse } from '../in-use.ts'
import { closedError, closedInside, readOnlyError } from '../refusals.ts'
import {
  type Call,
  type Calls,
  type Database,
  type Rows,
  type Size,
  TransactionGuard,
  type TransactionLimits,
  type TransactionSession,
  type WriteOptions,
  type Written,
} from '../session.ts'
import { type Statement, StatementCompiler } from '../statement.ts'
import type { OpenTransaction } from '../transaction.ts'
import type { Environment } from './attempt.ts'
import { type AttemptOptions, Attempts } from './attempts.ts'
import { forget, PostgresChangeLog } from './change-log.ts'
import { clusterWarnings } from './cluster-settings.ts'
import { Connections } from './connections.ts'
import { postgresDialect } from './dialect.ts'
import { isLockTimeout, translated } from './errors.ts'
import { surviving } from './failover.ts'
import { KeyedQueue, type Place } from './keyed-queue.ts'
import { Outcomes } from './outcomes.ts'
import { PatientPool } from './patient-pool.ts'
import { located, openPool } from './pool.ts'
import { ReadBatcher } from './read-batcher.ts'
import { earlierWritersEnded } from './running-transactions.ts'
import { assertEncoding, explained, inOwnTransaction, type OwnTransaction } from './session-control.ts'
import type { Ask } from './single.ts'
import { type Touched, touchedByCall, touchedByCalls, touchedByRows } from './touched.ts'
import { transaction } from './transactions.ts'
import type { PostgresTarget } from './url.ts'
import { WriteLane } from './write-lane.ts'

export interface PostgresOptions extends AttemptOptions {
  readonly maxPendingWrites: number
  /** Tables of the application's whose changes drop cached paths. */
  readonly topology?: readonly string[] | undefined
  /** Whether transactions write tokens. They need `failoverMs`. */
  readonly outcomeTokens?: boolean
}

export interface SchemaSteps {
  /** Runs before any other use of the pool. */
  readonly prepare: (pool: pg.Pool) => Promise<void>
  /** The last migration that was applied. */
  readonly version: (pool: pg.Pool) => Promise<string>
  /** The error that names the missing parts of the tables, if any. It throws what an own table lacks. */
  readonly problem: (pool: pg.Pool) => Promise<StorageError | undefined>
}

const UNLIMITED = { readOnly: false, timeoutMs: undefined, attempts: Number.POSITIVE_INFINITY }
/** How long a call waits for a lock for which the calls before it have waited long enough, in milliseconds. */
const LATE_LOCK_MS = 5

/** A PostgreSQL database with a pool of connections. */
export class PostgresDatabase implements Database {
  readonly dialect = 'postgresql'
  readonly inTransaction = false
  readonly snapshot = undefined
  readonly readPart = undefined
  readonly changeLog = new PostgresChangeLog(this)
  readonly commits = new CommitSignal()
  readonly compiler = new StatementCompiler(postgresDialect)
  readonly #options: PostgresOptions
  readonly #pool: pg.Pool
  readonly #target: PostgresTarget
  readonly #schema: SchemaSteps
  readonly #guard = new TransactionGuard()
  readonly #inUse = new InUse()
  readonly #environment: Environment
  readonly #attempts: Attempts
  /** The order of the calls. */
  readonly queue: KeyedQueue
  readonly #lane: WriteLane
  readonly #gets: ReadBatcher
  #pendingWrites = 0
  #closing: Promise<void> | undefined

  private constructor(pool: pg.Pool, target: PostgresTarget, options: PostgresOptions, schema: SchemaSteps) {
    this.#pool = pool
    this.#target = target
    this.#schema = schema
    this.#options = options
    this.queue = new KeyedQueue(options.topology)
    const connections = new Connections(pool, options)
    const environment = {
      connections,
      queue: this.queue,
      outcomes: this.#outcomes(),
      compiler: this.compiler,
      guard: this.#guard,
      options,
    }
    this.#environment = environment
    this.#attempts = new Attempts(environment)
    this.#gets = new ReadBatcher((bound) => this.#attempts.read(bound))
    const commit: Attempts['commit'] = (batch, limits) =>
      traced(batch.items.length, async (event) => {
        const outcome = await this.#attempts.commit(batch, limits)
        // A larger batch runs again in parts.
        if (event !== undefined && 'refused' in outcome && outcome.refused !== undefined && batch.items.length === 1)
          Object.assign(event, { batch: 0, error: outcome.refused })
        return outcome
      })
    this.#lane = new WriteLane(this.queue, this.compiler, { ...options, commit })
  }

  /** Connects, and brings the schema up to date. Throws StorageErrors. */
  static async open(target: PostgresTarget, options: PostgresOptions, schema: SchemaSteps): Promise<PostgresDatabase> {
    const pool = openPool(target, options)
    try {
      await assertEncoding(pool)
      await schema.prepare(pool)
      return new PostgresDatabase(pool, target, options, schema)
    } catch (error) {
      await pool.end()
      throw await explained(error, target, pool)
    }
  }

  #outcomes(): Outcomes | undefined {
    const { outcomeTokens, failoverMs = 0 } = this.#options
    const pool = this.#pool
    if (outcomeTokens !== true || !(pool instanceof PatientPool)) return undefined
    const run = (sql: string, values: readonly unknown[]): Promise<unknown> =>
      this.inOwnTransaction('READ COMMITTED', (ask) => ask(sql, values))
    return new Outcomes({ pool, failoverMs, run })
  }

  /** The error if the caller cannot use the store. */
  refusal(): StorageError | undefined {
    return this.#closing === undefined ? this.#guard.misuseOfStore() : closedError()
  }

  #refusalToWrite(): StorageError | undefined {
    return this.refusal() ?? (this.#options.readOnly ? readOnlyError() : undefined)
  }

  async read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    const bound = this.compiler.bind(statement, parameters)
    const bulk = statement.kind === 'reads one row' ? this.compiler.bulk(statement) : undefined
    return this.#inUse.while(() => (bulk === undefined ? this.#attempts.read(bound) : this.#gets.read(bulk, bound)))
  }

  async readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    return (await this.read(statement, parameters))[0]
  }

  async write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    { rows, lookup, ahead = false }: WriteOptions<P, F> = {},
  ): Promise<Written<R, F>> {
    if (parameters instanceof Promise)
      return this.#unit(named(rows), async (tx) => tx.write(statement, await parameters, { lookup }))
    const call = { statement, parameters }
    const touched = touchedByCall(this.compiler, call)
    if (touched.rows.length > 0) return this.#writing(() => this.#lane.write(call, touched, lookup), { ahead })
    // A row that cannot be read is found out before the commit.
    if (statement.isOwn) return this.#unit(touched, (tx) => tx.write(statement, parameters))
    const bound = this.compiler.bind(statement, parameters)
    return this.#writing(() => this.#inPlace(touched, () => traced(1, () => this.#attempts.write(bound))))
  }

  writeEach<P, R, T>(
    calls: Calls<P, R>,
    result: (written: Written<R, unknown>, call: Call<P, R>) => T,
    rows?: Rows,
  ): Promise<T[]> {
    const touched = calls instanceof Promise ? named(rows) : touchedByCalls(this.compiler, calls)
    return this.#unit(touched, (tx) => tx.writeEach(calls, result))
  }

  /** Runs `work` after the earlier calls that concern the same rows. */
  async #inPlace<T>(touched: Touched, work: (place: Place) => Promise<T>): Promise<T> {
    const ready = Promise.withResolvers<void>()
    const place = this.queue.enter('call', touched, { ready: ready.resolve })
    try {
      if (place.blockers > 0) await ready.promise
      place.running = true
      return await work(place)
    } finally {
      this.queue.finish(place)
    }
  }

  async #writing<T>(work: () => Promise<T>, { ahead = false } = {}): Promise<T> {
    const refused = this.#refusalToWrite()
    if (refused !== undefined) throw refused
    if (!ahead && this.#pendingWrites >= this.#options.maxPendingWrites) {
      const error = new StorageError(
        'BUSY',
        `${this.#pendingWrites} writes are waiting already. This one was not written. Wait for some of them.`,
      )
      traceRefusal(commitTracing, { batch: 0 }, error)
      throw error
    }
    this.#pendingWrites++
    try {
      const result = await this.#inUse.while(work)
      this.commits.tell()
      return result
    } finally {
      this.#pendingWrites--
    }
  }

  async transaction<T>(work: (session: TransactionSession) => Promise<T>, limits: TransactionLimits): Promise<T> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    const guarded = (tx: OpenTransaction): Promise<T> => this.#guard.run(tx, () => work(tx))
    const event: TransactionEvent = { readOnly: limits.readOnly, attempts: 0 }
    const retrying = { ...limits, retryMs: limits.timeoutMs }
    const attempts = (kind: 'reading transaction' | 'writing transaction') => (): Promise<T> =>
      transaction(this.#environment, kind, guarded, retrying, event)
    const run = (): Promise<T> =>
      limits.readOnly
        ? this.#inUse.while(attempts('reading transaction'))
        : this.#writing(attempts('writing transaction'))
    return transactionTracing.hasSubscribers ? tracePromise(transactionTracing, event, run) : run()
  }

  /** Runs a transaction of the library's own, without a time limit: no caller's code runs in it. */
  async #unit<T>(touched: Touched, work: (tx: TransactionSession) => Promise<T>): Promise<T> {
    const { busyTimeoutMs } = this.#options
    return this.#writing(() =>
      this.#inPlace(touched, async (place) => {
        const begun = performance.now()
        // Calls that wait behind one lock share its `busyTimeoutMs`.
        const retryMs = Math.max(0, (place.lockedSince ?? begun) + busyTimeoutMs - begun)
        const limits = { ...UNLIMITED, retryMs, lockMs: retryMs === 0 ? LATE_LOCK_MS : undefined }
        const event = { readOnly: false, attempts: 0 }
        const run = <U>(unit: (tx: OpenTransaction) => Promise<U>): Promise<U> =>
          transaction(this.#environment, 'bulk', unit, limits, event)
        return run(work)
          .catch((error) => (isTaken(error) ? confirmed(run, work) : Promise.reject(error)))
          .catch((error) => {
            if (isLockTimeout(error)) this.queue.waitsForLock(place, begun)
            throw error
          })
      }),
    )
  }

  async size(): Promise<Size> {
    // Described own tables too. A table that is not there has no size.
    const sql = `SELECT sum(pg_total_relation_size(to_regclass(quote_ident(name)))) FROM (
      SELECT unnest($1::text[]) AS name UNION SELECT substr(name, $3) FROM meshstore_state WHERE starts_with(name, $2)
    ) AS tables`
    const bytes = await this.query<string>(sql, [OUR_TABLES, TABLE_ROW, TABLE_ROW.length + 1])
    return { bytes: Number(bytes[0] ?? 0), walBytes: 0, walRestarts: undefined, queuedWrites: this.#pendingWrites }
  }

  schemaVersion(): Promise<string> {
    return this.#ask(this.#schema.version)
  }

  schemaProblem(): Promise<StorageError | undefined> {
    return this.#ask(this.#schema.problem)
  }

  async settingsProblems(): Promise<readonly string[]> {
    if (this.#target.hosts.length === 1) return []
    const warnings = await this.inOwnTransaction('REPEATABLE READ READ ONLY', (ask) => clusterWarnings(ask))
    return warnings.map(({ message, advice }) => `${message} ${advice}`)
  }

  async #ask<T>(question: (pool: pg.Pool) => Promise<T>): Promise<T> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    return this.#surviving(() =>
      question(this.#pool).catch((error) => {
        throw translated(located(error, this.#pool))
      }),
    )
  }

  /** Runs the library's own work again after the loss of the server: it may be done twice. */
  #surviving<T>(work: () => Promise<T>): Promise<T> {
    const { slots } = this.#environment.connections
    return this.#inUse.while(() => surviving(this.#pool, () => slots.while('call', work)))
  }

  /** Runs a query of the library's own. Returns the first column of each row. */
  query<T>(sql: string, values: readonly unknown[]): Promise<T[]> {
    return this.#ask(async (pool) => {
      const { rows } = await pool.query<[T]>({ text: sql, values: [...values], rowMode: 'array' })
      return rows.map(([value]) => value)
    })
  }

  /** Runs a transaction of the library's own that causes no serialization failures, and gets none. */
  async inOwnTransaction<T>(isolation: OwnTransaction, work: (ask: Ask) => Promise<T>): Promise<T> {
    const refused = isolation === 'READ COMMITTED' ? this.#refusalToWrite() : this.refusal()
    if (refused !== undefined) throw refused
    return this.#surviving(() => inOwnTransaction(this.#pool, isolation, work))
  }

  async problem(): Promise<undefined> {}

  earlierWritersEnded(withinMs?: number): Promise<boolean> {
    return earlierWritersEnded((sql) => this.query<string>(sql, []), withinMs)
  }

  async settled(): Promise<void> {}

  /** The settings for a connection beside the pool. */
  get server(): Pick<PostgresOptions, 'mode' | 'busyTimeoutMs'> & { readonly target: PostgresTarget } {
    const { mode, busyTimeoutMs } = this.#options
    return { target: this.#target, mode, busyTimeoutMs }
  }

  close(consumers: readonly string[] = []): Promise<void> {
    if (this.#guard.misuseOfStore() !== undefined) {
      return Promise.reject(closedInside())
    }
    this.#closing ??= this.#inUse.idle().then(async () => {
      // Ignore the error: the consumers expire later.
      if (consumers.length > 0)
        await inOwnTransaction(this.#pool, 'READ COMMITTED', (ask) => forget(ask, consumers)).catch(() => {})
      await this.#pool.end()
    })
    return this.#closing
  }
}

/** A call whose parameters are still pending names its rows: it takes its place in the order at once. */
const isTaken = (error: unknown): boolean => error instanceof StorageError && error.code === 'ALREADY_EXISTS'

/**
 * The server answers for what a transaction has read only if it commits. So work that found a key taken, and was rolled back, runs
 * again in a savepoint: the work alone is undone.
 */
async function confirmed<T>(
  run: <U>(unit: (tx: OpenTransaction) => Promise<U>) => Promise<U>,
  work: (tx: TransactionSession) => Promise<T>,
): Promise<T> {
  const done = await run(async (tx): Promise<{ result: T } | { taken: unknown }> => {
    try {
      return { result: await tx.transaction(work) }
    } catch (error) {
      if (!isTaken(error)) throw error
      return { taken: error }
    }
  })
  if ('taken' in done) throw done.taken
  return done.result
}

function named(rows: Rows | undefined): Touched {
  if (rows === undefined) throw new TypeError('A write whose parameters are pending must name its rows.')
  return touchedByRows(rows)
}

/** Traces the commit if the channel has subscribers. */
function traced<T>(batch: number, run: (event?: CommitEvent) => Promise<T>): Promise<T> {
  if (!commitTracing.hasSubscribers) return run()
  const event: CommitEvent = { batch }
  return traceLong(commitTracing, event, () => run(event))
}
