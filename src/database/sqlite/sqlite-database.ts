import type { StorageError } from '../../errors.ts'
import { type TransactionEvent, tracePromise, transactionTracing } from '../../tracing.ts'
import { CommitSignal } from '../commit-signal.ts'
import { closedError, closedInside, readOnlyError } from '../refusals.ts'
import {
  type Call,
  type Calls,
  type Database,
  type ReadPart,
  type Size,
  type Snapshot,
  TransactionGuard,
  type TransactionLimits,
  type TransactionSession,
  type WriteOptions,
  type Written,
} from '../session.ts'
import { type Statement, StatementCompiler } from '../statement.ts'
import { OpenTransaction, SLICE } from '../transaction.ts'
import { withinTime } from '../transaction-time.ts'
import { BusyRetry } from './busy-retry.ts'
import { forget, SqliteChangeLog } from './change-log.ts'
import { Checkpoints } from './checkpoints.ts'
import type { SqliteConnection } from './connection.ts'
import { sqliteDialect } from './dialect.ts'
import { isBusy, translated } from './errors.ts'
import type { Moved } from './fence.ts'
import { Fence } from './fence-state.ts'
import { openConnections, type SchemaSteps, type SqliteOptions } from './open-connections.ts'
import { OpenFile } from './open-file.ts'
import { rollBack } from './raw-transaction.ts'
import { Readers } from './readers.ts'
import { refusedRow } from './refused-row.ts'
import { type Borrowed, Snapshots, unlessEnded } from './snapshots.ts'
import { WalLimit } from './wal-limit.ts'
import { type QueuedWrite, WriteQueue } from './write-queue.ts'
import { WriteTransactions } from './write-transactions.ts'

/** One SQLite file: a writing connection, a reading connection, and a pool of connections for snapshots. */
export class SqliteDatabase implements Database {
  readonly dialect = 'sqlite'
  readonly commits = new CommitSignal()
  /** The real path, or `:memory:`. */
  readonly path: string
  readonly inTransaction = false
  readonly changeLog = new SqliteChangeLog(this)
  readonly #options: SqliteOptions
  readonly #schema: SchemaSteps
  readonly #busyRetry: BusyRetry
  readonly compiler = new StatementCompiler(sqliteDialect)
  readonly #guard = new TransactionGuard()
  /** A read-only store and a store in memory use one connection for both. */
  readonly #writer: SqliteConnection
  readonly #reader: SqliteConnection
  readonly #queue: WriteQueue
  readonly #fence: Fence
  /** `undefined` for a store in memory and for a read-only store, which cannot lose writes. */
  readonly #file: OpenFile | undefined
  /** Set when the file was lost: all writes are refused with this error. */
  #lost: StorageError | undefined
  readonly #transactions: WriteTransactions
  readonly #readers: Readers
  /** Running snapshots and backups. */
  readonly #snapshots: Snapshots
  readonly #checkpoints: Checkpoints
  readonly #walLimit: WalLimit
  #closing: Promise<void> | undefined

  private constructor(
    options: SqliteOptions,
    schema: SchemaSteps,
    connections: { writer: SqliteConnection; reader: SqliteConnection },
  ) {
    this.path = options.path
    this.#options = options
    this.#schema = schema
    this.#busyRetry = new BusyRetry(options.busyTimeoutMs)
    this.#writer = connections.writer
    this.#reader = connections.reader
    this.#queue = new WriteQueue(connections.writer.raw, {
      ...options,
      refusal: () => this.#fence.refusalInside(),
      together: (bounds, from) => connections.writer.writeTogether(bounds, from),
      unacknowledged: () => this.#committed(),
      onIdle: () => this.#checkpointLater(),
      named: this.#refused,
    })
    this.#transactions = new WriteTransactions({
      raw: connections.writer.raw,
      queue: this.#queue,
      movedInside: () => this.#fence.refusalInside(),
      lost: () => this.#lost,
      committed: () => this.#committed(),
    })
    this.#readers = new Readers(options.path, this.#busyRetry)
    this.#checkpoints = new Checkpoints(connections.writer.raw, () => this.#queue.length === 0)
    this.#walLimit = new WalLimit(options.path, options, () => this.#emptyLog())
    this.#snapshots = new Snapshots({
      borrow: () => this.#borrowReader(),
      busyRetry: this.#busyRetry,
      walLimit: this.#walLimit,
      // If the file was replaced, a new connection would open another file.
      refusal: () => this.refusal() ?? this.#lost,
    })
    this.#fence = new Fence(connections.writer, connections.reader)
    if (connections.writer !== connections.reader) {
      this.#file = new OpenFile(connections.writer.raw, { ...options, onLost: (error) => this.#lose(error) })
    }
  }

  /**
   * Closes the writer while the reader is still open. If the writer were the last connection, SQLite would checkpoint the
   * lost log into the database, and overwrite other programs' later writes.
   */
  #lose(error: StorageError): void {
    this.#lost = error
    this.#queue.fail(error)
    this.#checkpoints.stop()
    this.#writer.close()
  }

  /** Opens the file, and creates it unless read-only. Throws StorageErrors. */
  static async open(options: SqliteOptions, schema: SchemaSteps): Promise<SqliteDatabase> {
    const { path, ...connections } = await openConnections(options, schema)
    return new SqliteDatabase({ ...options, path }, schema, connections)
  }

  /** The error if the caller cannot use the store. */
  refusal(): StorageError | undefined {
    if (this.#closing !== undefined) return closedError()
    return this.misuse()
  }

  /** The error if the caller runs inside a transaction of this store. */
  misuse(): StorageError | undefined {
    return this.#guard.misuseOfStore()
  }

  #refusalToWrite(): StorageError | undefined {
    return this.refusal() ?? this.#lost ?? (this.#options.readOnly ? readOnlyError() : undefined)
  }

  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    const bound = this.compiler.bind(statement, parameters)
    return this.onReader((reader) => reader.all(bound))
  }

  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    const bound = this.compiler.bind(statement, parameters)
    return this.onReader((reader) => reader.first(bound))
  }

  readonly readPart: ReadPart = (statement, parameters) => {
    const bound = this.compiler.bind(statement, parameters)
    return this.onReader((reader) => reader.part(bound))
  }

  write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    { lookup, ahead }: WriteOptions<P, F> = {},
  ): Promise<Written<R, F>> {
    // A unit takes its place in the queue now: later writes wait until its parameters are known.
    if (parameters instanceof Promise) {
      return this.#unit(async (tx) => tx.write(statement, await parameters, { lookup }))
    }
    const bound = this.compiler.bind(statement, parameters)
    const call = { statement, parameters } as Call<unknown, unknown>
    if (lookup === undefined) {
      const byItself = statement.kind === 'changes many rows' ? () => this.#writer.writeByItself(bound) : undefined
      return this.onWriter((writer, isAlone) => writer.write(bound, isAlone), { bound, ahead, byItself, call })
    }
    const run = (writer: SqliteConnection, isAlone: boolean): Written<R, F> =>
      this.#lookedUp(writer, writer.write(bound, isAlone), { parameters, lookup })
    // Inserts that run as one statement have each written their row: they need no lookup.
    return this.onWriter(run, { call, bound: statement.kind === 'inserts one row' ? bound : undefined })
  }

  /** The outcome of a call that wrote nothing, with the row that its lookup finds. The parameters are the repository's own copies. */
  #lookedUp<P, R, F>(
    writer: SqliteConnection,
    written: Written<R>,
    { parameters, lookup }: { readonly parameters: P; readonly lookup?: Statement<NoInfer<P>, F> | undefined },
  ): Written<R, F> {
    if (lookup === undefined || written.changes > 0) return written
    return { ...written, found: writer.all(this.compiler.bind(lookup, parameters)) }
  }

  writeEach<P, R, T>(calls: Calls<P, R>, result: (written: Written<R, unknown>, call: Call<P, R>) => T): Promise<T[]> {
    // Many calls get their own transaction, which yields to the event loop between slices.
    if (calls instanceof Promise || calls.length > SLICE) return this.#unit((tx) => tx.writeEach(calls, result))
    const bounds = calls.map(({ statement, parameters }) => this.compiler.bind(statement, parameters))
    return this.onWriter((writer) =>
      writer.savepoint(() => {
        const results: T[] = []
        try {
          writer.writeAll(bounds, (written, at) => {
            const call = calls[at] as Call<P, R>
            results.push(result(this.#lookedUp(writer, written, call), call))
          })
        } catch (error) {
          throw this.#refused(error, calls[results.length])
        }
        return results
      }),
    )
  }

  readonly #refused = <P, R>(error: unknown, call: Call<P, R> | undefined): unknown =>
    call === undefined ? error : refusedRow(error, this.compiler, call)

  /** Runs on the reading connection, which sees only committed rows. */
  onReader<T>(run: (reader: SqliteConnection) => T): Promise<T> {
    const refused = this.refusal()
    if (refused !== undefined) return Promise.reject(refused)
    // In memory the reader is the writer: wait, so that the read does not see an open transaction.
    const locked = this.#reader === this.#writer ? this.#transactions.locked : undefined
    if (locked !== undefined) return locked.then(() => this.onReader(run))
    try {
      return Promise.resolve(run(this.#reader))
    } catch (error) {
      return isBusy(error)
        ? this.#busyRetry.run(() => run(this.#reader))
        : Promise.reject(translated(error, this.#reader.raw.name))
    }
  }

  /** Runs on the writing connection, in the queue of writes. `isAlone`: the commit holds nothing else, and is undone if `run` throws. */
  onWriter<T>(run: (writer: SqliteConnection, isAlone: boolean) => T, options?: QueuedWrite): Promise<T> {
    const refused = this.#refusalToWrite()
    if (refused !== undefined) return Promise.reject(refused)
    return this.#queue.write((isAlone) => run(this.#writer, isAlone), options)
  }

  transaction<T>(work: (session: TransactionSession) => Promise<T>, limits: TransactionLimits): Promise<T> {
    const refused = limits.readOnly ? this.refusal() : this.#refusalToWrite()
    if (refused !== undefined) return Promise.reject(refused)
    const guarded = (tx: OpenTransaction): Promise<T> => this.#guard.run(tx, () => work(tx))
    const run = (): Promise<T> =>
      limits.readOnly ? this.#snapshot(guarded, limits.timeoutMs) : this.#ownWriter(guarded, limits.timeoutMs)
    if (!transactionTracing.hasSubscribers) return run()
    const event: TransactionEvent = { readOnly: limits.readOnly, attempts: 1 }
    return tracePromise(transactionTracing, event, run)
  }

  /** Runs a transaction of the library's own, without a time limit: no caller's code runs in it. */
  #unit<T>(work: (tx: OpenTransaction) => Promise<T>): Promise<T> {
    const refused = this.#refusalToWrite()
    return refused === undefined ? this.#ownWriter(work, undefined) : Promise.reject(refused)
  }

  #ownWriter<T>(work: (tx: OpenTransaction) => Promise<T>, timeoutMs: number | undefined): Promise<T> {
    return this.#transactions.run(async () => {
      const tx = this.#begun(this.#writer, { readOnly: false })
      const result = await withinTime(tx, work, timeoutMs)
      if (tx.doom !== undefined) throw tx.doom
      return result
    })
  }

  /** The error if the commit must not be acknowledged. */
  #committed(): StorageError | undefined {
    const unacknowledged = this.#file?.unacknowledged()
    if (unacknowledged === undefined) this.commits.tell()
    return unacknowledged
  }

  /** The data's new place if this store refused the call with `error`. Another store's MOVED error does not count. */
  refusedAsMoved(error: unknown): Moved | undefined {
    return this.#fence.refusedAsMoved(error)
  }

  /** The data's new place, if it has moved. */
  movedTo(): Moved | undefined {
    return this.#fence.movedTo()
  }

  isMoving(): boolean {
    return this.#fence.isMoving()
  }

  /** Resolves when the waiting writes are committed or refused. */
  written(): Promise<void> {
    return this.#queue.idle()
  }

  /**
   * Locks the file against all processes from BEGIN IMMEDIATE to COMMIT, after the writes that already wait. `work` may read
   * and write. The commit is on disk when the promise resolves, also with `durability: 'normal'`.
   */
  exclusively<T>(work: (raw: SqliteConnection['raw']) => Promise<T>): Promise<T> {
    return this.#transactions.runDurably(work)
  }

  #begun(connection: SqliteConnection, options: { readOnly: boolean }): OpenTransaction {
    const on = { executor: connection, compiler: this.compiler, guard: this.#guard, refused: this.#refused }
    return new OpenTransaction(on, options)
  }

  #snapshot<T>(work: (tx: OpenTransaction) => Promise<T>, timeoutMs: number | undefined): Promise<T> {
    const what = timeoutMs === undefined ? 'a long read' : 'a read-only transaction'
    return this.withSnapshot(what, (reader, ended) => {
      const tx = this.#begun(reader, { readOnly: true })
      return unlessEnded(ended, withinTime(tx, work, timeoutMs), () => tx.end(ended.reason))
    })
  }

  // A new connection would open another file than the lost one, which the reader still has open.
  readonly snapshot: Snapshot = (work) => (this.#lost === undefined ? this.#snapshot(work, undefined) : work(this))

  /**
   * Runs `work` on a consistent snapshot, on a connection of its own. `close()` waits for it. `what` names it in messages. Long work
   * looks at `ended`: the snapshot must end because the write-ahead log is too large.
   */
  withSnapshot<T>(what: string, work: (reader: SqliteConnection, ended: AbortSignal) => Promise<T>): Promise<T> {
    return this.#snapshots.run(what, work)
  }

  async #borrowReader(): Promise<Borrowed> {
    if (this.path === ':memory:') return { reader: this.#writer, giveBack: await this.#transactions.lock() }
    return this.#readers.borrow()
  }

  async size(): Promise<Size> {
    const pages = await this.onReader(({ raw }) => Number(raw.pragma('page_count', { simple: true })))
    const pageSize = await this.onReader(({ raw }) => Number(raw.pragma('page_size', { simple: true })))
    return {
      bytes: pages * pageSize,
      walBytes: this.#walLimit.size(),
      walRestarts: this.#file?.restarts(),
      queuedWrites: this.#queue.length,
    }
  }

  async problem(): Promise<{ code: string; message: string } | undefined> {
    return this.refusal() === undefined ? this.#walLimit.problem() : undefined
  }

  async #emptyLog(): Promise<void> {
    if (this.#file === undefined) return
    const release = await this.#queue.lock()
    try {
      if (this.#lost === undefined) this.#checkpoints.empty()
    } finally {
      release()
    }
  }

  async schemaVersion(): Promise<string> {
    return this.onReader(({ raw }) => this.#schema.version(raw))
  }

  async settingsProblems(): Promise<readonly string[]> {
    return []
  }

  async schemaProblem(): Promise<StorageError | undefined> {
    return this.onReader(({ raw }) => this.#schema.problem(raw))
  }

  /** Always true: SQLite has one writer, which sees all earlier commits. */
  async earlierWritersEnded(): Promise<boolean> {
    return true
  }

  async settled(): Promise<void> {}

  #checkpointLater(): void {
    if (this.#file !== undefined && this.#closing === undefined && this.#lost === undefined) this.#checkpoints.later()
  }

  close(consumers: readonly string[] = []): Promise<void> {
    if (this.misuse() !== undefined) {
      return Promise.reject(closedInside())
    }
    this.#closing ??= this.#close(consumers)
    return this.#closing
  }

  /** Deletes the consumers from the log. If the deletion fails, they expire later. */
  #forget(consumers: readonly string[]): void {
    const { raw } = this.#writer
    try {
      raw.exec('BEGIN IMMEDIATE')
      forget(raw, consumers)
      raw.exec('COMMIT')
    } catch {
      if (raw.inTransaction) rollBack(raw)
    }
  }

  async #close(consumers: readonly string[]): Promise<void> {
    this.#checkpoints.stop()
    this.#walLimit.stop()
    await this.#queue.idle()
    await this.#snapshots.idle()
    this.#file?.look()
    this.#file?.stop()
    if (consumers.length > 0 && this.#lost === undefined) this.#forget(consumers)
    this.#readers.close()
    if (this.#reader !== this.#writer) this.#reader.close()
    if (this.#file !== undefined && this.#lost === undefined) this.#checkpoints.now('TRUNCATE')
    this.#writer.close()
  }
}
