import { resolve } from 'node:path'
import type pg from 'pg'
import type { BackupManifest, BackupOptions } from '../../api.ts'
import { checkPath } from '../../config.ts'
import { misuse, StorageError } from '../../errors.ts'
import { schemaVersionOf } from '../../migrator/postgres-migrator.ts'
import { commitTracing, type TransactionEvent, traceLong, tracePromise, transactionTracing } from '../../tracing.ts'
import { InUse } from '../in-use.ts'
import { jittered, nextPause } from '../pause.ts'
import {
  type Call,
  type Database,
  type Session,
  TransactionGuard,
  type TransactionLimits,
  type Written,
} from '../session.ts'
import { type BoundStatement, StatementCompiler } from '../statement.ts'
import { OpenTransaction, withinTime } from '../transaction.ts'
import { forget, PostgresChangeLog } from './change-log.ts'
import { PostgresConnection, PostgresExecutor, StatementNames } from './connection.ts'
import { postgresDialect } from './dialect.ts'
import {
  asLost,
  isConflict,
  isConnectionLost,
  isStaleStatement,
  mayRunAgain,
  sqlstateOf,
  translated,
  translatedWrite,
} from './errors.ts'
import { KeyOrder, rowOf } from './key-order.ts'
import { OUR_TABLES } from './our-tables.ts'
import { beginning, ONLY_READS, openPool, type PoolOptions } from './pool.ts'
import { type Apart, type Ask, apart, assertEncoding, begin, commit, explained, settle } from './session-control.ts'
import { Slots } from './slots.ts'
import { StoreSession } from './store-session.ts'
import type { PostgresTarget } from './url.ts'
import { WriteGatherer } from './write-gatherer.ts'

export interface PostgresOptions extends PoolOptions {
  /** How long a single statement is run again when others are in its way. */
  readonly busyTimeoutMs: number
  readonly maxPendingWrites: number
}

const LOST: ReadonlySet<string> = new Set(['UNAVAILABLE', 'OUTCOME_UNKNOWN'])
/** For those who wait: nothing of theirs was sent, whatever became of the one that found out. */
const unsent = (error: StorageError): StorageError =>
  error.code === 'UNAVAILABLE'
    ? error
    : new StorageError('UNAVAILABLE', 'The server does not answer; nothing was sent to it.', { cause: error })
const closedError = (): StorageError => new StorageError('CLOSED', 'The store is closed.')
const readOnlyError = (): StorageError => new StorageError('READ_ONLY', 'The store was opened read-only.')

/** Every transaction holds a lock on itself, which all roles may see. */
const RUNNING_TRANSACTIONS = `SELECT virtualxid || '/' || pid FROM pg_locks
  WHERE locktype = 'virtualxid' AND granted AND pid <> pg_backend_pid()
  AND pid IN (
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND backend_type IS DISTINCT FROM 'autovacuum worker' AND coalesce(application_name, '') NOT LIKE '%${ONLY_READS}'
  )`
const LONGEST_PAUSE_MS = 32
const LONGEST_WAIT_MS = 64

/** What an attempt at a transaction came to. Everything else is thrown. */
type Attempted<T> = { readonly result: T } | { readonly inTheWay: unknown }

class FromCallback {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

interface RetryLimits extends Omit<TransactionLimits, 'timeoutMs'> {
  /** How long an attempt and those before it may take. `undefined`: no limit. */
  readonly timeoutMs: number | undefined
  /** How long it is tried again. */
  readonly retryMs: number
}

/** A PostgreSQL database through a pool of connections. */
export class PostgresDatabase implements Database {
  readonly dialect = 'postgresql'
  readonly session: Session
  readonly changeLog = new PostgresChangeLog(this)
  readonly compiler = new StatementCompiler(postgresDialect)
  readonly #options: PostgresOptions
  readonly #pool: pg.Pool
  readonly #target: PostgresTarget
  readonly #guard = new TransactionGuard()
  readonly #names: StatementNames | undefined
  readonly #inUse = new InUse()
  readonly #slots: Slots
  /** Of transactions that write. */
  readonly #writers: Slots
  #pendingWrites = 0
  readonly #keyOrder = new KeyOrder()
  readonly #gatherer = new WriteGatherer((bound, batch) => this.#single(bound, 'write', batch))
  #closing: Promise<void> | undefined

  private constructor(pool: pg.Pool, target: PostgresTarget, options: PostgresOptions) {
    this.#pool = pool
    this.#target = target
    this.#options = options
    this.#slots = new Slots(options.max)
    this.#writers = new Slots(options.max)
    this.#names = options.mode === 'session' ? new StatementNames() : undefined
    this.session = new StoreSession(this)
  }

  /** Opens. `prepare` sees the pool before anything else does. Throws StorageErrors. */
  static async open(
    target: PostgresTarget,
    options: PostgresOptions,
    prepare: (pool: pg.Pool) => Promise<void>,
  ): Promise<PostgresDatabase> {
    const pool = openPool(target, options)
    try {
      await assertEncoding(pool)
      await prepare(pool)
      return new PostgresDatabase(pool, target, options)
    } catch (error) {
      await pool.end()
      throw await explained(error, target)
    }
  }

  /** Why the store cannot be used from here, if it cannot. */
  refusal(): StorageError | undefined {
    return this.#closing === undefined ? this.#guard.misuseOfStore() : closedError()
  }

  #refusalToWrite(): StorageError | undefined {
    return this.refusal() ?? (this.#options.readOnly ? readOnlyError() : undefined)
  }

  async read<R>(bound: BoundStatement<R>): Promise<R[]> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    return (await this.#inUse.while(() => this.#single(bound, 'read'))).rows
  }

  async write<P, R>(call: Call<P, R>): Promise<Written<R>> {
    const bound = this.compiler.bind(call.statement, call.parameters)
    const bulk = this.compiler.bulk(call.statement)
    const write = (): Promise<Written<R>> =>
      bulk === undefined ? this.#single(bound, 'write') : this.#gatherer.write(bulk, call, bound)
    return this.#writing(() => this.#keyOrder.next(rowOf(call), write))
  }

  async #writing<T>(work: () => Promise<T>): Promise<T> {
    const refused = this.#refusalToWrite()
    if (refused !== undefined) throw refused
    if (this.#pendingWrites >= this.#options.maxPendingWrites) {
      throw new StorageError('BUSY', `${this.#pendingWrites} writes are waiting already. Wait for some of them.`)
    }
    this.#pendingWrites++
    try {
      return await this.#inUse.while(work)
    } finally {
      this.#pendingWrites--
    }
  }

  /** A statement that is a transaction by itself. */
  #single<R>(bound: BoundStatement<R>, kind: 'read' | 'write', batch = 1): Promise<Written<R>> {
    if (kind === 'read' || !commitTracing.hasSubscribers) return this.#untilDone(bound, kind)
    return traceLong(commitTracing, { batch }, () => this.#untilDone(bound, kind))
  }

  async #untilDone<R>(bound: BoundStatement<R>, kind: 'read' | 'write'): Promise<Written<R>> {
    // Time runs from the first attempt on, not while it waits for a connection.
    let deadline: number | undefined
    const attempt = (): Promise<Written<R>> => {
      deadline ??= performance.now() + this.#options.busyTimeoutMs
      return this.#runSingle(bound)
    }
    let again = true
    for (let pause = 1; ; pause = nextPause(pause)) {
      try {
        return await this.#slots.while(attempt, deadline !== undefined)
      } catch (error) {
        // It was refused before it was sent.
        if (error instanceof StorageError) throw error
        if (again && (isStaleStatement(error) || (kind === 'read' && isConnectionLost(error)))) {
          // Once: prepared anew, or on another connection where nothing can have been written.
          again = false
          continue
        }
        if (!isConflict(error) || performance.now() > (deadline ?? 0)) {
          throw kind === 'write' ? translatedWrite(error) : translated(error)
        }
      }
      await sleep(jittered(pause))
    }
  }

  /** Throws the driver's errors for what was sent, and a StorageError where there was no connection to send it on. */
  async #runSingle<R>(bound: BoundStatement<R>): Promise<Written<R>> {
    const connection = await this.#connect()
    const begun = performance.now()
    try {
      const written = await this.#runOn(connection, bound)
      connection.release()
      return written
    } catch (error) {
      connection.release(error)
      this.#noteSilence(translated(error), begun)
      throw error
    }
  }

  async #runOn<R>(connection: PostgresConnection, bound: BoundStatement<R>): Promise<Written<R>> {
    if (this.#options.mode === 'session') return connection.run(bound)
    // Nothing can be set for the session: the isolation is this transaction's.
    try {
      await connection.control(beginning({ ...this.#options, lockTimeoutMs: undefined }))
      const written = await connection.run(bound)
      await connection.control('COMMIT')
      return written
    } catch (error) {
      // What the server refused stays refused, whatever becomes of this.
      if (!isConnectionLost(error)) await connection.control('ROLLBACK').catch(() => {})
      throw error
    }
  }

  /** Not even the server's own time limit was answered: it is gone, or stands still, and the others need not wait. */
  #noteSilence(error: unknown, begun: number): void {
    const silent = performance.now() - begun > this.#options.statementMs
    if (silent && error instanceof StorageError && LOST.has(error.code)) this.#refuseWaiting(unsent(error))
  }

  #refuseWaiting(error: unknown): void {
    this.#slots.refuseWaiting(error)
    this.#writers.refuseWaiting(error)
  }

  async #connect(): Promise<PostgresConnection> {
    try {
      return new PostgresConnection(await this.#pool.connect(), this.#names, this.#options.statementMs)
    } catch (failure) {
      // No settings are asked for there, which it could refuse.
      const error = translated(this.#options.mode === 'transaction' ? asLost(failure) : failure)
      if (sqlstateOf(failure) === undefined) this.#refuseWaiting(error)
      throw error
    }
  }

  async transaction<T>(work: (session: Session) => Promise<T>, limits: TransactionLimits): Promise<T> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    const guarded = (tx: OpenTransaction): Promise<T> => this.#guard.run(tx, () => work(tx))
    const event: TransactionEvent = { readOnly: limits.readOnly, attempts: 0 }
    const begin = (): Promise<T> => this.#transaction(guarded, { ...limits, retryMs: limits.timeoutMs }, event)
    const run = (): Promise<T> => (limits.readOnly ? this.#inUse.while(begin) : this.#writing(begin))
    return transactionTracing.hasSubscribers ? tracePromise(transactionTracing, event, run) : run()
  }

  /** A unit of any number of statements, without a time limit: the caller's own code does not run in it. */
  async unit<T>(work: (tx: OpenTransaction) => Promise<T>): Promise<T> {
    const { busyTimeoutMs } = this.#options
    const limits = { readOnly: false, timeoutMs: undefined, retryMs: busyTimeoutMs, attempts: Number.POSITIVE_INFINITY }
    return this.#writing(() => this.#transaction(work, limits, { readOnly: false, attempts: 0 }))
  }

  /** Runs `work` again from its beginning as long as others are in its way. */
  async #transaction<T>(
    work: (tx: OpenTransaction) => Promise<T>,
    limits: RetryLimits,
    event: TransactionEvent,
  ): Promise<T> {
    // Time runs from the first attempt on, not while it waits for a connection.
    let begun = 0
    const attempt = (): Promise<Attempted<T>> => {
      if (event.attempts++ === 0) begun = performance.now()
      return this.#attempt(work, limits, performance.now() - begun)
    }
    const inSlot = (): Promise<Attempted<T>> => this.#slots.while(attempt, event.attempts > 0)
    for (let pause = 1; ; pause = nextPause(pause)) {
      const attempted = await (limits.readOnly ? inSlot() : this.#asWriter(inSlot, event.attempts > 0))
      if ('result' in attempted) return attempted.result
      const timeIsUp = performance.now() - begun >= limits.retryMs
      if (event.attempts >= limits.attempts || timeIsUp) throw attempted.inTheWay
      await sleep(jittered(pause))
    }
  }

  /** The more of them are in each other's way, the fewer run at once: else none would come to its end in time. */
  #asWriter<T>(attempt: () => Promise<Attempted<T>>, again: boolean): Promise<Attempted<T>> {
    return this.#writers.while(async () => {
      const attempted = await attempt()
      if ('result' in attempted) this.#writers.succeeded()
      else this.#writers.conflicted()
      return attempted
    }, again)
  }

  async #attempt<T>(
    work: (tx: OpenTransaction) => Promise<T>,
    limits: RetryLimits,
    passedMs: number,
  ): Promise<Attempted<T>> {
    const { readOnly, timeoutMs } = limits
    const connection = await this.#connect()
    const begun = performance.now()
    let failure: { readonly error: unknown } | undefined
    try {
      await begin(connection, { ...this.#options, readOnly })
      const executor = new PostgresExecutor(connection, this.compiler)
      const tx = new OpenTransaction({ executor, compiler: this.compiler, guard: this.#guard }, { readOnly })
      const timeLeft = timeoutMs && Math.max(1, Math.round(timeoutMs - passedMs))
      const result = await withinTime(tx, work, timeLeft, timeoutMs).catch((error) => {
        // Others were in the way: the whole is run again, whatever the callback made of that.
        throw mayRunAgain(tx.doom) ? tx.doom : new FromCallback(error)
      })
      if (tx.doom !== undefined) throw tx.doom
      await commit(connection, limits)
      return { result }
    } catch (thrown) {
      const error = thrown instanceof FromCallback ? thrown.error : thrown
      failure = { error }
      this.#noteSilence(error, begun)
      // What the callback threw by itself is its own, though it may look like a conflict: of another database, for example.
      if (!(thrown instanceof FromCallback) && mayRunAgain(error)) return { inTheWay: error }
      throw error
    } finally {
      await settle(connection, failure)
    }
  }

  async size(): Promise<{ bytes: number; walBytes: number; queuedWrites: number }> {
    const sql = 'SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest($1::text[]) AS name'
    const bytes = await this.query<string>(sql, [OUR_TABLES])
    return { bytes: Number(bytes[0] ?? 0), walBytes: 0, queuedWrites: this.#pendingWrites }
  }

  async schemaVersion(): Promise<string> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    return this.#inUse.while(() =>
      this.#slots.while(() =>
        schemaVersionOf(this.#pool).catch((error) => {
          throw translated(error)
        }),
      ),
    )
  }

  /** A question of the library's own: the first column of each row. */
  async query<T>(sql: string, values: readonly unknown[]): Promise<T[]> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    const ask = async (): Promise<T[]> => {
      try {
        const { rows } = await this.#pool.query<[T]>({ text: sql, values: [...values], rowMode: 'array' })
        return rows.map(([value]) => value)
      } catch (error) {
        throw translated(error)
      }
    }
    return this.#inUse.while(() => this.#slots.while(ask))
  }

  /** A transaction of the library's own that keeps no serializable one from committing, nor is kept from it. */
  async apart<T>(isolation: Apart, work: (ask: Ask) => Promise<T>): Promise<T> {
    const refused = isolation === 'READ COMMITTED' ? this.#refusalToWrite() : this.refusal()
    if (refused !== undefined) throw refused
    return this.#inUse.while(() => this.#slots.while(() => apart(this.#pool, isolation, work)))
  }

  async earlierWritersEnded(withinMs = LONGEST_WAIT_MS): Promise<boolean> {
    const deadline = performance.now() + withinMs
    let earlier = await this.query<string>(RUNNING_TRANSACTIONS, [])
    for (let pause = 1; earlier.length > 0 && performance.now() + pause < deadline; ) {
      await sleep(pause)
      const running = new Set(await this.query<string>(RUNNING_TRANSACTIONS, []))
      earlier = earlier.filter((transaction) => running.has(transaction))
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS)
    }
    return earlier.length === 0
  }

  async settled(): Promise<void> {}

  async backup(file: string, options: BackupOptions, now: () => Date): Promise<BackupManifest> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    checkPath(file)
    // At once: when the rest has been loaded, the working folder may be another one.
    const path = resolve(file)
    const { backupPostgres } = await import('../../backup/postgres-backup.ts')
    const { mode, busyTimeoutMs } = this.#options
    return backupPostgres({ target: this.#target, mode, busyTimeoutMs, now }, path, options)
  }

  close(consumers: readonly string[] = []): Promise<void> {
    if (this.#guard.misuseOfStore() !== undefined) {
      return Promise.reject(misuse('close() inside a transaction of the same store would wait for itself.'))
    }
    this.#closing ??= this.#inUse.idle().then(async () => {
      // If it fails, the log is kept for them for as long as they asked.
      if (consumers.length > 0)
        await apart(this.#pool, 'READ COMMITTED', (ask) => forget(ask, consumers)).catch(() => {})
      await this.#pool.end()
    })
    return this.#closing
  }
}

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))
