import { statSync } from 'node:fs'
import { misuse, StorageError } from '../../errors.ts'
import { performance } from '../../event-loop.ts'
import { type TransactionEvent, tracePromise, transactionTracing } from '../../tracing.ts'
import { InUse } from '../in-use.ts'
import { type Database, type Session, TransactionGuard, type TransactionLimits } from '../session.ts'
import { StatementCompiler } from '../statement.ts'
import { OpenTransaction, withinTime } from '../transaction.ts'
import { forget, SqliteChangeLog } from './change-log.ts'
import { Checkpoints } from './checkpoints.ts'
import { BusyRetry, type Durability, openConnection, prepareWriter, SqliteConnection } from './connection.ts'
import { sqliteDialect } from './dialect.ts'
import { isBusy, isSqliteFailure, translated, translatedCommit } from './errors.ts'
import { fenceOf, type Moved, movedError, moveOn } from './fence.ts'
import { prepareFile } from './file.ts'
import { OpenFile } from './open-file.ts'
import { Readers } from './readers.ts'
import { StoreSession } from './store-session.ts'
import { WriteQueue } from './write-queue.ts'

export interface SqliteOptions {
  /** A path, or `:memory:`. */
  readonly path: string
  readonly durability: Durability
  readonly readOnly: boolean
  readonly busyTimeoutMs: number
  readonly maxPendingWrites: number
}

export interface SchemaSteps {
  /** Before anything is changed, be it the journal's mode: throws if the file must not be used. */
  readonly check: (raw: SqliteConnection['raw']) => Promise<void>
  /** Before the file is given a log: what is refused here leaves it as it was. */
  readonly adopt: (raw: SqliteConnection['raw']) => Promise<void>
  readonly migrate: (raw: SqliteConnection['raw']) => Promise<void>
  /** The last migration that was applied. */
  readonly version: (raw: SqliteConnection['raw']) => string
  /** What our tables have lost, if anything. */
  readonly problem: (raw: SqliteConnection['raw']) => StorageError | undefined
}

const closedError = (): StorageError => new StorageError('CLOSED', 'The store is closed.')
const readOnlyError = (): StorageError => new StorageError('READ_ONLY', 'The store was opened read-only.')

/** One SQLite file: a connection that writes, one that reads, and snapshots on connections of their own. */
export class SqliteDatabase implements Database {
  readonly dialect = 'sqlite'
  /** The real path, or `:memory:`. */
  readonly path: string
  readonly session: Session
  readonly changeLog = new SqliteChangeLog(this)
  readonly #options: SqliteOptions
  readonly #schema: SchemaSteps
  readonly #busyRetry: BusyRetry
  readonly compiler = new StatementCompiler(sqliteDialect)
  readonly #guard = new TransactionGuard()
  /** A read-only store has no writer: both are the reader then. In memory there is one connection for both. */
  readonly #writer: SqliteConnection
  readonly #reader: SqliteConnection
  readonly #queue: WriteQueue
  readonly #fence: () => Moved | undefined
  #moved: Moved | undefined
  readonly #fenceToReaders: () => Moved | undefined
  readonly #isMoveUnderWay: () => boolean
  /** Errors that say that nothing was begun, since the data has moved; and where to. */
  readonly #refusals = new WeakMap<object, Moved>()
  /** What is not in a file, or not written, cannot be lost with it. */
  readonly #file: OpenFile | undefined
  /** Why nothing is written any more. */
  #lost: StorageError | undefined
  readonly #readers: Readers
  readonly #checkpoints: Checkpoints
  /** Snapshots and backups. */
  readonly #inUse = new InUse()
  #locked: Promise<void> | undefined
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
      refusal: () => this.#refusalInside(),
      unacknowledged: () => this.#file?.unacknowledged(),
      onIdle: () => this.#checkpointLater(),
    })
    this.#readers = new Readers(options.path, this.#busyRetry)
    this.#checkpoints = new Checkpoints(connections.writer.raw, () => this.#queue.length === 0)
    this.#fence = fenceOf(connections.writer.raw)
    this.#fenceToReaders = fenceOf(connections.reader.raw)
    this.#isMoveUnderWay = moveOn(connections.reader.raw)
    this.session = new StoreSession(this)
    if (connections.writer !== connections.reader) {
      this.#file = new OpenFile(connections.writer.raw, { ...options, onLost: (error) => this.#lose(error) })
    }
  }

  /**
   * The writer is closed at once, while the reader is open: SQLite would move what is in the lost log into the database when
   * the last connection that may write is closed, and overwrite what others have written since.
   */
  #lose(error: StorageError): void {
    this.#lost = error
    this.#queue.fail(error)
    this.#checkpoints.stop()
    this.#writer.close()
  }

  /** Opens, and creates unless read-only. Throws StorageErrors. */
  static async open(options: SqliteOptions, schema: SchemaSteps): Promise<SqliteDatabase> {
    const memory = options.path === ':memory:'
    const path = memory ? options.path : prepareFile(options.path, { create: !options.readOnly })
    const busyRetry = new BusyRetry(options.busyTimeoutMs)
    const connect = (readOnly: boolean): Promise<SqliteConnection> =>
      busyRetry
        .run(() => new SqliteConnection(openConnection(path, { readOnly })))
        .catch((error) => {
          throw readOnly ? explainedReadOnly(path, error) : error
        })

    const writer = await connect(options.readOnly && !memory)
    let reader = writer
    try {
      await busyRetry.run(() => schema.check(writer.raw))
      await schema.adopt(writer.raw)
      if (!options.readOnly || memory) await prepareWriter(writer.raw, options.durability, busyRetry)
      await schema.migrate(writer.raw)
      if (!memory && !options.readOnly) reader = await connect(true)
      return new SqliteDatabase({ ...options, path }, schema, { writer, reader })
    } catch (error) {
      writer.close()
      throw options.readOnly ? explainedReadOnly(path, translated(error)) : translated(error)
    }
  }

  /** Why the store cannot be used from here, if it cannot. */
  refusal(): StorageError | undefined {
    if (this.#closing !== undefined) return closedError()
    return this.misuse()
  }

  /** Why it may not be waited for from here: a transaction of its own is open. */
  misuse(): StorageError | undefined {
    return this.#guard.misuseOfStore()
  }

  refusalToWrite(): StorageError | undefined {
    return this.refusal() ?? this.#lost ?? (this.#options.readOnly ? readOnlyError() : undefined)
  }

  /** Runs on the reading connection, which sees committed rows alone. */
  read<T>(run: (reader: SqliteConnection) => T): Promise<T> {
    const refused = this.refusal()
    if (refused !== undefined) return Promise.reject(refused)
    // In memory the reader is the writer: a transaction that is open on it must not be seen.
    if (this.#locked !== undefined && this.#reader === this.#writer) return this.#locked.then(() => this.read(run))
    try {
      return Promise.resolve(run(this.#reader))
    } catch (error) {
      return isBusy(error) ? this.#busyRetry.run(() => run(this.#reader)) : Promise.reject(translated(error))
    }
  }

  write<T>(run: (writer: SqliteConnection) => T): Promise<T> {
    const refused = this.refusalToWrite()
    if (refused !== undefined) return Promise.reject(refused)
    return this.#queue.write(() => run(this.#writer))
  }

  transaction<T>(work: (session: Session) => Promise<T>, limits: TransactionLimits): Promise<T> {
    const refused = limits.readOnly ? this.refusal() : this.refusalToWrite()
    if (refused !== undefined) return Promise.reject(refused)
    const guarded = (tx: OpenTransaction): Promise<T> => this.#guard.run(tx, () => work(tx))
    const run = (): Promise<T> =>
      limits.readOnly ? this.#snapshot(guarded, limits.timeoutMs) : this.#ownWriter(guarded, limits.timeoutMs)
    if (!transactionTracing.hasSubscribers) return run()
    const event: TransactionEvent = { readOnly: limits.readOnly, attempts: 1 }
    return tracePromise(transactionTracing, event, run)
  }

  /** A unit of any number of statements, without a time limit: the caller's own code does not run in it. */
  unit<T>(work: (tx: OpenTransaction) => Promise<T>): Promise<T> {
    const refused = this.refusalToWrite()
    return refused === undefined ? this.#ownWriter(work, undefined) : Promise.reject(refused)
  }

  /** Holds the writer from BEGIN IMMEDIATE to COMMIT. */
  async #ownWriter<T>(work: (tx: OpenTransaction) => Promise<T>, timeoutMs: number | undefined): Promise<T> {
    const { raw } = this.#writer
    const asked = performance.now()
    const release = await this.#lockWriter()
    try {
      await this.#queue.begin(asked)
      const refusal = this.#refusalInside()
      if (refusal !== undefined) {
        rollBack(raw)
        throw refusal
      }
      const tx = this.#begun(this.#writer, { readOnly: false })
      try {
        const result = await withinTime(tx, work, timeoutMs)
        if (tx.doom !== undefined) throw tx.doom
        this.#commit(raw)
        return result
      } finally {
        if (raw.inTransaction) rollBack(raw)
      }
    } finally {
      release()
    }
  }

  #commit(raw: SqliteConnection['raw']): void {
    commit(raw)
    const unacknowledged = this.#file?.unacknowledged()
    if (unacknowledged !== undefined) throw unacknowledged
  }

  /** Once the lock is had, the file cannot move any more: why nothing may be written to it. */
  #refusalInside(): StorageError | undefined {
    // The fence is made of triggers: where the schema is the one of before, so is the answer.
    if (this.#writer.isSchemaChanged()) this.#moved = this.#fence()
    const moved = this.#moved
    if (moved === undefined) return undefined
    const refusal = movedError(moved)
    this.#refusals.set(refusal, moved)
    return refusal
  }

  /** Where the data is, if what failed was not begun for that reason: not by an error of another store that a callback let through. */
  refusedAsMoved(error: unknown): Moved | undefined {
    return typeof error === 'object' && error !== null ? this.#refusals.get(error) : undefined
  }

  /** Where the data is, if not here any more. */
  movedTo(): Moved | undefined {
    return this.#fenceToReaders()
  }

  isMoving(): boolean {
    return this.#isMoveUnderWay()
  }

  /** Resolves when what was waiting has been written or refused. */
  written(): Promise<void> {
    return this.#queue.idle()
  }

  /**
   * Holds the file for itself from BEGIN IMMEDIATE to COMMIT, of any process, after the writes that waited before it. `work` may
   * read and write what it likes. When this resolves it is on disk, whatever the durability of other writes.
   */
  async exclusively<T>(work: (raw: SqliteConnection['raw']) => Promise<T>): Promise<T> {
    const { raw } = this.#writer
    const asked = performance.now()
    const release = await this.#lockWriter()
    if (this.#lost !== undefined) {
      release()
      throw this.#lost
    }
    const durability = raw.pragma('synchronous', { simple: true })
    try {
      raw.pragma('synchronous = FULL')
      await this.#queue.begin(asked)
      const result = await work(raw)
      this.#commit(raw)
      return result
    } catch (error) {
      throw translated(error)
    } finally {
      if (raw.inTransaction) rollBack(raw)
      if (raw.open) raw.pragma(`synchronous = ${durability}`)
      release()
    }
  }

  #begun(connection: SqliteConnection, options: { readOnly: boolean }): OpenTransaction {
    return new OpenTransaction({ executor: connection, compiler: this.compiler, guard: this.#guard }, options)
  }

  #snapshot<T>(work: (tx: OpenTransaction) => Promise<T>, timeoutMs: number | undefined): Promise<T> {
    return this.withSnapshot((reader) => withinTime(this.#begun(reader, { readOnly: true }), work, timeoutMs))
  }

  /** A read transaction, which sees one moment, on a connection that is nobody else's. `close()` waits for it. */
  withSnapshot<T>(work: (reader: SqliteConnection) => Promise<T>): Promise<T> {
    // A new connection would open another file.
    const refused = this.refusal() ?? this.#lost
    if (refused !== undefined) return Promise.reject(refused)
    return this.#inUse.while(async () => {
      const { reader, giveBack } = await this.#borrowReader()
      try {
        await this.#busyRetry.run(() => pin(reader))
        return await work(reader)
      } finally {
        if (reader.raw.inTransaction) rollBack(reader.raw)
        giveBack()
      }
    })
  }

  async #borrowReader(): ReturnType<Readers['borrow']> {
    if (this.path === ':memory:') return { reader: this.#writer, giveBack: await this.#lockWriter() }
    return this.#readers.borrow()
  }

  async #lockWriter(): Promise<() => void> {
    const release = await this.#queue.lock()
    let unlock = (): void => {}
    this.#locked = new Promise((resolve) => {
      unlock = resolve
    })
    return () => {
      this.#locked = undefined
      unlock()
      release()
    }
  }

  async size(): Promise<{ bytes: number; walBytes: number; queuedWrites: number }> {
    const pages = await this.read(({ raw }) => Number(raw.pragma('page_count', { simple: true })))
    const pageSize = await this.read(({ raw }) => Number(raw.pragma('page_size', { simple: true })))
    // stat() opens no handle: see prepareFile().
    const walBytes = statSync(`${this.path}-wal`, { throwIfNoEntry: false })?.size ?? 0
    return { bytes: pages * pageSize, walBytes, queuedWrites: this.#queue.length }
  }

  async schemaVersion(): Promise<string> {
    return this.read(({ raw }) => this.#schema.version(raw))
  }

  async schemaProblem(): Promise<StorageError | undefined> {
    return this.read(({ raw }) => this.#schema.problem(raw))
  }

  /** Who writes sees all that was committed before: there is one writer. */
  async earlierWritersEnded(): Promise<boolean> {
    return true
  }

  async settled(): Promise<void> {}

  #checkpointLater(): void {
    if (this.#file !== undefined && this.#closing === undefined && this.#lost === undefined) this.#checkpoints.later()
  }

  close(consumers: readonly string[] = []): Promise<void> {
    if (this.misuse() !== undefined) {
      return Promise.reject(misuse('close() inside a transaction of the same store would wait for itself.'))
    }
    this.#closing ??= this.#close(consumers)
    return this.#closing
  }

  /** If it fails, the log is kept for them for as long as they asked. */
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
    await this.#queue.idle()
    await this.#inUse.idle()
    this.#file?.look()
    this.#file?.stop()
    if (consumers.length > 0 && this.#lost === undefined) this.#forget(consumers)
    this.#readers.close()
    if (this.#reader !== this.#writer) this.#reader.close()
    if (this.#file !== undefined && this.#lost === undefined) this.#checkpoints.now('TRUNCATE')
    this.#writer.close()
  }
}

/** SQLite reads a file with a log through two more files, which it makes beside it. */
function explainedReadOnly(path: string, error: unknown): unknown {
  const cause = error instanceof StorageError ? error.cause : undefined
  if (!isSqliteFailure(cause) || !/^SQLITE_(CANTOPEN|READONLY)/.test(cause.code)) return error
  return new StorageError(
    'CONFIG',
    `${path} cannot be read where nothing can be written: SQLite has to make ${path}-wal and ${path}-shm. On a read-only file system, open a copy in a folder that can be written. (${cause.code})`,
    { cause },
  )
}

function commit(raw: SqliteConnection['raw']): void {
  try {
    raw.exec('COMMIT')
  } catch (error) {
    throw translatedCommit(error)
  }
}

function rollBack(raw: SqliteConnection['raw']): void {
  try {
    raw.exec('ROLLBACK')
  } catch {
    // SQLite has rolled back by itself.
  }
}

/** BEGIN alone does not choose the moment that a snapshot shows; the first read does. */
function pin({ raw }: SqliteConnection): void {
  if (!raw.inTransaction) raw.exec('BEGIN')
  raw.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get()
}
