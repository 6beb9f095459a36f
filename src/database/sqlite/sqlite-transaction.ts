import { misuse, StorageError } from '../../errors.ts'
import type { Call, Session, TransactionGuard, Written } from '../session.ts'
import type { Statement, StatementCompiler } from '../statement.ts'
import type { SqliteConnection } from './connection.ts'
import { translated } from './errors.ts'

/** A unit of many statements lets the event loop run after so many of them. */
export const SLICE = 500

const nextTurnOfTheEventLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/**
 * A transaction, or a savepoint in one, on a connection that nobody else uses meanwhile. Its statements run at once,
 * when they are called; what makes them durable is the COMMIT of whoever opened it.
 */
export class SqliteTransaction implements Session {
  readonly inTransaction = true
  readonly #connection: SqliteConnection
  readonly #compiler: StatementCompiler
  readonly #guard: TransactionGuard
  readonly #readOnly: boolean
  readonly #outer: SqliteTransaction | undefined
  readonly #depth: number
  /** The savepoint that is open; everything else waits for it. */
  #nested: Promise<unknown> | undefined
  #end: StorageError | undefined
  #doom: unknown

  constructor(
    on: { connection: SqliteConnection; compiler: StatementCompiler; guard: TransactionGuard },
    options: { readOnly: boolean; outer?: SqliteTransaction },
  ) {
    this.#connection = on.connection
    this.#compiler = on.compiler
    this.#guard = on.guard
    this.#readOnly = options.readOnly
    this.#outer = options.outer
    this.#depth = options.outer === undefined ? 0 : options.outer.#depth + 1
  }

  get ended(): boolean {
    return this.#end !== undefined
  }

  /** What made SQLite roll back by itself: nothing of this transaction can be committed any more. */
  get doom(): unknown {
    return this.#doom
  }

  /** Every later call rejects with `reason`. */
  end(
    reason: StorageError = misuse(
      'The transaction has ended. Use `tx` only inside its callback, and await what it returns.',
    ),
  ): void {
    this.#end ??= reason
  }

  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    return this.#run(() => this.#connection.all(this.#compiler.bind(statement, parameters)))
  }

  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    return this.#run(() => this.#connection.first(this.#compiler.bind(statement, parameters)))
  }

  async write<P, R>(statement: Statement<P, R>, parameters: P): Promise<Written<R>> {
    const refused = this.#refusedWrite()
    if (refused !== undefined) throw refused
    const bound = this.#compiler.bind(statement, parameters)
    return this.#run(() => this.#connection.write(bound))
  }

  async writeEach<P, R, T>(
    calls: readonly Call<P, R>[],
    result: (written: Written<R>, index: number) => T,
  ): Promise<T[]> {
    const refused = this.#guard.misuseOf(this) ?? this.#refusedWrite()
    if (refused !== undefined) throw refused
    return this.#savepoint(async (unit) => {
      const results: T[] = []
      for (const [index, { statement, parameters }] of calls.entries()) {
        if (index > 0 && index % SLICE === 0) await nextTurnOfTheEventLoop()
        unit.#assertUsable()
        const bound = this.#compiler.bind(statement, parameters)
        const written = unit.#execute(() => this.#connection.write(bound))
        results.push(result(written, index))
      }
      return results
    })
  }

  transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const misused = this.#guard.misuseOf(this)
    if (misused !== undefined) return Promise.reject(misused)
    return this.#savepoint((nested) => this.#guard.run(nested, () => work(nested)))
  }

  #refusedWrite(): StorageError | undefined {
    if (!this.#readOnly) return undefined
    return new StorageError('READ_ONLY', 'A write in a read-only transaction was refused.')
  }

  async #run<T>(statement: () => T): Promise<T> {
    const misused = this.#guard.misuseOf(this)
    if (misused !== undefined) throw misused
    while (this.#nested !== undefined) await this.#nested
    this.#assertUsable()
    return this.#execute(statement)
  }

  /** Why neither this nor anything around it takes statements any more. */
  #unusable(): unknown {
    return this.#end ?? this.#doom ?? (this.#outer === undefined ? undefined : this.#outer.#unusable())
  }

  #assertUsable(): void {
    const reason = this.#unusable()
    if (reason !== undefined) throw reason
  }

  #execute<T>(statement: () => T): T {
    try {
      return statement()
    } catch (error) {
      // On a full disk or an I/O error SQLite rolls back everything by itself, and what follows would be committed alone.
      if (!this.#connection.raw.inTransaction) this.#doomAll(error)
      throw error
    }
  }

  #doomAll(error: unknown): void {
    this.#doom ??= error
    if (this.#outer !== undefined) this.#outer.#doomAll(error)
  }

  /** Savepoints of one transaction come one after the other: their names nest, and so must they. */
  async #savepoint<T>(work: (nested: SqliteTransaction) => Promise<T>): Promise<T> {
    while (this.#nested !== undefined) await this.#nested
    this.#assertUsable()
    const on = { connection: this.#connection, compiler: this.#compiler, guard: this.#guard }
    const nested = new SqliteTransaction(on, { readOnly: this.#readOnly, outer: this })
    const done = this.#inside(nested, work)
    const settled = done.then(
      () => undefined,
      () => undefined,
    )
    this.#nested = settled
    settled.then(() => {
      this.#nested = undefined
    })
    return done
  }

  async #inside<T>(nested: SqliteTransaction, work: (nested: SqliteTransaction) => Promise<T>): Promise<T> {
    const name = `nested_${nested.#depth}`
    this.#control(`SAVEPOINT ${name}`)
    let result: T
    try {
      result = await work(nested)
    } catch (error) {
      nested.end()
      if (this.#unusable() === undefined) this.#control(`ROLLBACK TO ${name}; RELEASE ${name}`)
      throw error
    }
    nested.end()
    this.#assertUsable()
    this.#control(`RELEASE ${name}`)
    return result
  }

  #control(statements: string): void {
    try {
      this.#connection.raw.exec(statements)
    } catch (error) {
      const failure = translated(error)
      this.#doomAll(failure)
      throw failure
    }
  }
}
