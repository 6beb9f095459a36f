/** A SQLite file whose data may move to PostgreSQL while the file is open. After the cutover, all calls run on PostgreSQL. */

import { AsyncResource } from 'node:async_hooks'
import { StorageError } from '../errors.ts'
import { nextTurn, performance } from '../event-loop.ts'
import type { CommitSignal } from './commit-signal.ts'
import { InUse } from './in-use.ts'
import type {
  Call,
  Calls,
  ChangeLog,
  Database,
  ReadPart,
  Rows,
  Snapshot,
  TransactionLimits,
  TransactionSession,
  WriteOptions,
  Written,
} from './session.ts'
import { type Moved, movedError } from './sqlite/fence.ts'
import type { SqliteDatabase } from './sqlite/sqlite-database.ts'
import type { Statement } from './statement.ts'
import type { Successor } from './successor.ts'

/** Longest time for which readers may miss a cutover, in milliseconds. */
const LOOK_EVERY_MS = 50

interface Options {
  readonly maxPendingWrites: number
  readonly successor: Successor | undefined
}

type Work<T> = (database: Database) => Promise<T>

/** A call that waits for the other database. Held calls run there in the order of the calls. */
interface Held {
  readonly order: number
  readonly run: (database: Database) => void
  readonly reject: (error: unknown) => void
}

export class MovableDatabase implements Database {
  readonly inTransaction = false
  readonly file: SqliteDatabase
  readonly #options: Options
  /** Listeners that must resolve before the file is closed. */
  readonly #leaving: ((from: Database) => Promise<void>)[] = []
  #current: Database
  /** The target of this process's own move. */
  #moveTarget: Database | undefined
  #calls = 0
  #held: Held[] = []
  #following: Promise<void> | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  #preloadedAt = Number.NEGATIVE_INFINITY
  #left: Promise<void> = Promise.resolve()
  /** Reads from the file in several steps: a backup, for example. */
  readonly #reading = new InUse()
  /** Set by `close()`: consumers to delete from the log. */
  #closing: readonly string[] | undefined

  constructor(file: SqliteDatabase, options: Options) {
    this.file = file
    this.#current = file
    this.#options = options
  }

  get current(): Database {
    return this.#current
  }

  get dialect(): 'sqlite' | 'postgresql' {
    return this.#current.dialect
  }

  get changeLog(): ChangeLog {
    return this.#current.changeLog
  }

  get commits(): CommitSignal {
    return this.#current.commits
  }

  /** Calls the listener when the data has moved. The file is closed when all listeners have left it. */
  onCutover(listener: (from: Database) => Promise<void>): void {
    this.#leaving.push(listener)
  }

  /** The database that a move of this process's own leads to; it is open. */
  setMoveTarget(database: Database | undefined): void {
    this.#moveTarget = database
  }

  refusal(): StorageError | undefined {
    return this.#current.refusal()
  }

  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    return this.#readNow((database) => database.read(statement, parameters))
  }

  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    return this.#readNow((database) => database.readOne(statement, parameters))
  }

  /** A single statement: `close()` of the file waits for it, so that it needs no count of its own. */
  #readNow<T>(work: Work<T>): Promise<T> {
    try {
      if (this.#mayRead()) return work(this.#current)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.onCurrent(work)
  }

  get readPart(): ReadPart | undefined {
    if (this.#current.readPart === undefined) return undefined
    return (statement, parameters) =>
      this.#readNow(async (database) =>
        database.readPart === undefined
          ? { rows: await database.read(statement, parameters), isCut: false }
          : database.readPart(statement, parameters),
      )
  }

  get snapshot(): Snapshot | undefined {
    if (this.#current.snapshot === undefined) return undefined
    return (work) =>
      // The data may have moved to PostgreSQL meanwhile, where reads do not block the event loop.
      this.onCurrent((database) => (database.snapshot === undefined ? work(database) : database.snapshot(work)))
  }

  write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    options?: WriteOptions<P, F>,
  ): Promise<Written<R, F>> {
    return this.#run((database) => database.write(statement, parameters, options))
  }

  writeEach<P, R, T>(
    calls: Calls<P, R>,
    result: (written: Written<R, unknown>, call: Call<P, R>) => T,
    rows?: Rows,
  ): Promise<T[]> {
    return this.#run((database) => database.writeEach(calls, result, rows))
  }

  /** Whether reads may use the current database: nearly always. Throws MOVED if the data's new database is not known. */
  #mayRead(): boolean {
    if (this.#current !== this.file) return true
    if (this.#following !== undefined) return false
    const now = performance.now()
    if (now - this.#lookedAt < LOOK_EVERY_MS) return true
    this.#lookedAt = now
    this.#preload(now)
    return !this.#detectMove()
  }

  #isFollowed(): boolean {
    return this.#moveTarget !== undefined || this.#options.successor !== undefined
  }

  /** Opens the successor ahead of time if another process moves the file. */
  #preload(now: number): void {
    const { successor } = this.#options
    if (successor === undefined || this.#moveTarget !== undefined || now - this.#preloadedAt < LOOK_EVERY_MS) return
    this.#preloadedAt = now
    if (this.file.refusal() === undefined && this.file.movedTo() === undefined) successor.preload(this.file.isMoving())
  }

  /** Whether the data has moved. If so, the cutover begins. */
  #detectMove(): boolean {
    // The file's own reasons come first: that it is closed, or is used inside its own transaction.
    if (this.file.refusal() !== undefined) return false
    const moved = this.file.movedTo()
    if (moved === undefined) return false
    if (!this.#isFollowed()) {
      // The next call looks again.
      this.#lookedAt = Number.NEGATIVE_INFINITY
      throw movedError(moved)
    }
    this.#follow(moved)
    return true
  }

  async settled(): Promise<void> {
    if (this.#current !== this.file) return
    if (this.#following === undefined) this.#detectMove()
    await this.#following
  }

  /** Reads from the current database. During a cutover, waits for the new database. */
  async onCurrent<T>(work: Work<T>): Promise<T> {
    if (!this.#mayRead()) await this.settled()
    return this.#current === this.file ? this.#reading.while(() => work(this.file)) : work(this.#current)
  }

  /** Runs `work`. If the file refuses it as moved before it begins, `work` runs on the new database. */
  #run<T>(work: Work<T>): Promise<T> {
    if (this.#current !== this.file) return work(this.#current)
    if (this.#options.successor !== undefined) this.#preload(performance.now())
    const order = this.#calls++
    if (this.#following !== undefined) {
      const refused = this.file.refusal()
      return refused === undefined ? this.#hold(order, work) : Promise.reject(refused)
    }
    return work(this.file).catch((error) => {
      const moved = this.file.refusedAsMoved(error)
      if (moved === undefined || !this.#isFollowed()) throw error
      // The cutover ended between the refusal and this line.
      if (this.#current !== this.file) return work(this.#current)
      this.#follow(moved)
      return this.#hold(order, work)
    })
  }

  /** Holds the call until the other database is open. */
  #hold<T>(order: number, work: Work<T>): Promise<T> {
    if (this.#held.length >= this.#options.maxPendingWrites) {
      return Promise.reject(
        new StorageError(
          'BUSY',
          `${this.#held.length} writes are waiting already. This one was not written. Wait for some of them.`,
        ),
      )
    }
    return new Promise<T>((resolve, reject) => {
      const run = AsyncResource.bind((database: Database) => {
        work(database).then(resolve, reject)
      })
      this.#held.push({ order, run, reject })
    })
  }

  #follow(moved: Moved): void {
    if (this.#following !== undefined) return
    this.#following = this.#switch(moved).catch((error) => {
      // The next call retries. Until then nothing is read from the file.
      this.#following = undefined
      this.#lookedAt = Number.NEGATIVE_INFINITY
      for (const { reject } of this.#held.splice(0)) reject(error)
      throw error
    })
    this.#following.catch(() => {})
  }

  async #switch(moved: Moved): Promise<void> {
    const next = this.#moveTarget ?? (await this.#options.successor?.take(moved))
    if (next === undefined) throw movedError(moved)
    // The file's queue refuses its earlier writes, which are then held.
    await this.file.written()
    await nextTurn()
    this.#current = next
    const { file } = this
    this.#left = Promise.all([...this.#leaving.map((leave) => leave(file)), this.#reading.idle()])
      .then(() => file.close())
      .catch(() => {})
    const held = this.#held.splice(0).sort((a, b) => a.order - b.order)
    for (const { run } of held) run(next)
    if (this.#closing !== undefined) next.close(this.#closing).catch(() => {})
  }

  transaction<T>(work: (session: TransactionSession) => Promise<T>, limits: TransactionLimits): Promise<T> {
    if (limits.readOnly) return this.onCurrent((database) => database.transaction(work, limits))
    return this.#run((database) => database.transaction(work, limits))
  }

  size(): ReturnType<Database['size']> {
    return this.onCurrent((database) => database.size())
  }

  schemaVersion(): Promise<string> {
    return this.onCurrent((database) => database.schemaVersion())
  }

  settingsProblems(): Promise<readonly string[]> {
    return this.onCurrent((database) => database.settingsProblems())
  }

  schemaProblem(): Promise<StorageError | undefined> {
    return this.onCurrent((database) => database.schemaProblem())
  }

  problem(): ReturnType<Database['problem']> {
    return this.onCurrent((database) => database.problem())
  }

  earlierWritersEnded(): Promise<boolean> {
    return this.onCurrent((database) => database.earlierWritersEnded())
  }

  async close(consumers: readonly string[] = []): Promise<void> {
    const first = this.#current
    // The file rejects close() inside one of its open transactions.
    if (this.file.misuse() !== undefined) return this.file.close()
    // From here on new calls are refused. Accepted calls may still have to run on the new database.
    this.#closing = consumers
    try {
      await first.close(consumers)
    } catch (error) {
      this.#closing = undefined
      throw error
    }
    await this.#following?.catch(() => {})
    await this.#options.successor?.close()
    if (this.#current !== first) await this.#current.close(consumers)
    await this.#left
  }
}
