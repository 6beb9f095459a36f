import type pg from 'pg'
import { misuse, StorageError } from '../../errors.ts'
import { performance, sleep } from '../../event-loop.ts'
import { OUR_TABLES } from '../../schema/tables.ts'
import { commitTracing, type TransactionEvent, traceLong, tracePromise, transactionTracing } from '../../tracing.ts'
import { InUse } from '../in-use.ts'
import {
  type Call,
  type Database,
  type Session,
  TransactionGuard,
  type TransactionLimits,
  type Written,
} from '../session.ts'
import { type BoundStatement, StatementCompiler } from '../statement.ts'
import type { OpenTransaction } from '../transaction.ts'
import { type AttemptOptions, Attempts } from './attempts.ts'
import { forget, PostgresChangeLog } from './change-log.ts'
import { postgresDialect } from './dialect.ts'
import { translated } from './errors.ts'
import { KeyOrder, rowOf } from './key-order.ts'
import { located, ONLY_READS, openPool } from './pool.ts'
import { type Apart, apart, assertEncoding, explained } from './session-control.ts'
import type { Ask } from './single.ts'
import { StoreSession } from './store-session.ts'
import type { PostgresTarget } from './url.ts'
import { WriteGatherer } from './write-gatherer.ts'

export interface PostgresOptions extends AttemptOptions {
  readonly maxPendingWrites: number
}

export interface SchemaSteps {
  /** Before anything else sees the pool. */
  readonly prepare: (pool: pg.Pool) => Promise<void>
  /** The last migration that was applied. */
  readonly version: (pool: pg.Pool) => Promise<string>
  /** What our tables have lost, if anything. */
  readonly problem: (pool: pg.Pool) => Promise<StorageError | undefined>
}

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

/** A PostgreSQL database through a pool of connections. */
export class PostgresDatabase implements Database {
  readonly dialect = 'postgresql'
  readonly session: Session
  readonly changeLog = new PostgresChangeLog(this)
  readonly compiler = new StatementCompiler(postgresDialect)
  readonly #options: PostgresOptions
  readonly #pool: pg.Pool
  readonly #target: PostgresTarget
  readonly #schema: SchemaSteps
  readonly #guard = new TransactionGuard()
  readonly #inUse = new InUse()
  readonly #attempts: Attempts
  #pendingWrites = 0
  readonly #keyOrder = new KeyOrder()
  readonly #gatherer = new WriteGatherer((bound, batch) => this.#single(bound, 'write', batch))
  #closing: Promise<void> | undefined

  private constructor(pool: pg.Pool, target: PostgresTarget, options: PostgresOptions, schema: SchemaSteps) {
    this.#pool = pool
    this.#target = target
    this.#schema = schema
    this.#options = options
    this.#attempts = new Attempts(pool, { compiler: this.compiler, guard: this.#guard }, options)
    this.session = new StoreSession(this)
  }

  /** Opens. Throws StorageErrors. */
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
    if (kind === 'read' || !commitTracing.hasSubscribers) return this.#attempts.single(bound, kind)
    return traceLong(commitTracing, { batch }, () => this.#attempts.single(bound, kind))
  }

  async transaction<T>(work: (session: Session) => Promise<T>, limits: TransactionLimits): Promise<T> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    const guarded = (tx: OpenTransaction): Promise<T> => this.#guard.run(tx, () => work(tx))
    const event: TransactionEvent = { readOnly: limits.readOnly, attempts: 0 }
    const begin = (): Promise<T> => this.#attempts.transaction(guarded, { ...limits, retryMs: limits.timeoutMs }, event)
    const run = (): Promise<T> => (limits.readOnly ? this.#inUse.while(begin) : this.#writing(begin))
    return transactionTracing.hasSubscribers ? tracePromise(transactionTracing, event, run) : run()
  }

  /** A unit of any number of statements, without a time limit: the caller's own code does not run in it. */
  async unit<T>(work: (tx: OpenTransaction) => Promise<T>): Promise<T> {
    const { busyTimeoutMs } = this.#options
    const limits = { readOnly: false, timeoutMs: undefined, retryMs: busyTimeoutMs, attempts: Number.POSITIVE_INFINITY }
    return this.#writing(() => this.#attempts.transaction(work, limits, { readOnly: false, attempts: 0 }))
  }

  async size(): Promise<{ bytes: number; walBytes: number; queuedWrites: number }> {
    const sql = 'SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest($1::text[]) AS name'
    const bytes = await this.query<string>(sql, [OUR_TABLES])
    return { bytes: Number(bytes[0] ?? 0), walBytes: 0, queuedWrites: this.#pendingWrites }
  }

  schemaVersion(): Promise<string> {
    return this.#ask(this.#schema.version)
  }

  schemaProblem(): Promise<StorageError | undefined> {
    return this.#ask(this.#schema.problem)
  }

  async #ask<T>(question: (pool: pg.Pool) => Promise<T>): Promise<T> {
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    return this.#inUse.while(() =>
      this.#attempts.inSlot(() =>
        question(this.#pool).catch((error) => {
          throw translated(located(error, this.#pool))
        }),
      ),
    )
  }

  /** A question of the library's own: the first column of each row. */
  query<T>(sql: string, values: readonly unknown[]): Promise<T[]> {
    return this.#ask(async (pool) => {
      const { rows } = await pool.query<[T]>({ text: sql, values: [...values], rowMode: 'array' })
      return rows.map(([value]) => value)
    })
  }

  /** A transaction of the library's own that keeps no serializable one from committing, nor is kept from it. */
  async apart<T>(isolation: Apart, work: (ask: Ask) => Promise<T>): Promise<T> {
    const refused = isolation === 'READ COMMITTED' ? this.#refusalToWrite() : this.refusal()
    if (refused !== undefined) throw refused
    return this.#inUse.while(() => this.#attempts.inSlot(() => apart(this.#pool, isolation, work)))
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

  /** What a connection beside the pool needs. */
  get server(): Pick<PostgresOptions, 'mode' | 'busyTimeoutMs'> & { readonly target: PostgresTarget } {
    const { mode, busyTimeoutMs } = this.#options
    return { target: this.#target, mode, busyTimeoutMs }
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
