import { misuse, StorageError } from '../errors.ts'
import { nextTurn } from '../event-loop.ts'
import type { Call, Calls, Session, TransactionGuard, Written } from './session.ts'
import type { BoundStatement, Statement, StatementCompiler } from './statement.ts'

/** A unit of many statements lets the event loop run after so many of them. */
export const SLICE = 500

type MaybePromise<T> = T | Promise<T>

/** How a savepoint came to be, or came to its end. */
export type SavepointStep = 'opened' | 'kept' | 'undone'

/** A connection inside an open transaction, which nobody else uses meanwhile. Throws StorageErrors. */
export interface Executor {
  all<R>(bound: BoundStatement<R>): MaybePromise<R[]>
  first<R>(bound: BoundStatement<R>): MaybePromise<R | undefined>
  /** What throws has changed nothing. */
  write<R>(bound: BoundStatement<R>): MaybePromise<Written<R>>
  /**
   * Many calls in fewer statements, where the dialect gains by it; in order, at most `SLICE` of them. What throws may have
   * been done in part: a savepoint is around it.
   */
  writeSlice?<P, R>(calls: readonly Call<P, R>[]): Promise<Written<R>[]>
  /** SAVEPOINT, RELEASE, ROLLBACK TO, and what comes of the savepoint by it. */
  control(sql: string, savepoint: string, step: SavepointStep): MaybePromise<unknown>
  /**
   * What this error has ended: the whole transaction, of which nothing can be committed any more, or all up to the last
   * savepoint, or nothing.
   */
  endedBy(error: unknown): 'transaction' | 'savepoint' | 'nothing'
}

const ENDED = 'The transaction has ended. Use `tx` only inside its callback, and await what it returns.'

/**
 * A transaction, or a savepoint in one. Its statements run at once, when they are called; what makes them durable is the
 * COMMIT of whoever opened it.
 */
export class OpenTransaction implements Session {
  readonly inTransaction = true
  readonly #on: { executor: Executor; compiler: StatementCompiler; guard: TransactionGuard }
  readonly #readOnly: boolean
  readonly #outer: OpenTransaction | undefined
  readonly #depth: number
  /** The savepoint that is open; everything else waits for it. */
  #nested: Promise<unknown> | undefined
  #end: StorageError | undefined
  #doom: unknown

  constructor(
    on: { executor: Executor; compiler: StatementCompiler; guard: TransactionGuard },
    options: { readOnly: boolean; outer?: OpenTransaction },
  ) {
    this.#on = on
    this.#readOnly = options.readOnly
    this.#outer = options.outer
    this.#depth = options.outer === undefined ? 0 : options.outer.#depth + 1
  }

  get ended(): boolean {
    return this.#end !== undefined || (this.#outer?.ended ?? false)
  }

  /** The error that ended the transaction in the database, whether or not the callback let it through. */
  get doom(): unknown {
    return this.#doom
  }

  /** Every later call rejects with `reason`. */
  end(reason: StorageError = misuse(ENDED)): void {
    this.#end ??= reason
  }

  refusal(): StorageError | undefined {
    return this.#end ?? this.#on.guard.misuseOf(this)
  }

  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    return this.#run(statement, parameters, (bound) => this.#on.executor.all(bound))
  }

  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    return this.#run(statement, parameters, (bound) => this.#on.executor.first(bound))
  }

  async write<P, R>(statement: Statement<P, R>, parameters: P | Promise<P>): Promise<Written<R>> {
    this.#assertWritable()
    if (parameters instanceof Promise) {
      // What comes after it waits for it.
      return this.#unit(async (unit) => unit.write(statement, await parameters))
    }
    return this.#run(statement, parameters, (bound) => this.#on.executor.write(bound))
  }

  async writeEach<P, R, T>(calls: Calls<P, R>, result: (written: Written<R>, call: Call<P, R>) => T): Promise<T[]> {
    this.#assertWritable()
    return this.#unit(async (unit) => {
      const all = calls instanceof Promise ? await calls : calls
      const results: T[] = []
      for (let from = 0; from < all.length; from += SLICE) {
        if (from > 0) await nextTurn()
        const slice = all.slice(from, from + SLICE)
        const add = (written: Written<R>, call: Call<P, R>): number => results.push(result(written, call))
        await unit.#writeSlice(slice, add)
      }
      return results
    })
  }

  async #writeSlice<P, R>(
    calls: readonly Call<P, R>[],
    add: (written: Written<R>, call: Call<P, R>) => void,
  ): Promise<void> {
    const { executor, compiler } = this.#on
    this.#assertUsable()
    if (executor.writeSlice !== undefined) {
      const written = await this.#execute(async () => executor.writeSlice?.(calls) ?? [])
      for (const [index, each] of written.entries()) add(each, calls[index] as Call<P, R>)
      return
    }
    for (const call of calls) {
      this.#assertUsable()
      const bound = compiler.bind(call.statement, call.parameters)
      add(await this.#execute(() => executor.write(bound)), call)
    }
  }

  /** A savepoint of the library's own: the caller's code does not run in it. */
  async #unit<T>(work: (unit: OpenTransaction) => Promise<T>): Promise<T> {
    const misused = this.#on.guard.misuseOf(this)
    if (misused !== undefined) throw misused
    return this.#savepoint(work)
  }

  async transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const misused = this.#on.guard.misuseOf(this)
    if (misused !== undefined) throw misused
    return this.#savepoint((nested) => this.#on.guard.run(nested, () => work(nested)))
  }

  #assertWritable(): void {
    if (this.#readOnly) throw new StorageError('READ_ONLY', 'A write in a read-only transaction was refused.')
  }

  async #run<P, R, T>(
    statement: Statement<P, R>,
    parameters: P,
    run: (bound: BoundStatement<R>) => MaybePromise<T>,
  ): Promise<T> {
    const misused = this.#on.guard.misuseOf(this)
    if (misused !== undefined) throw misused
    const bound = this.#on.compiler.bind(statement, parameters)
    while (this.#nested !== undefined) await this.#nested
    this.#assertUsable()
    return this.#execute(() => run(bound))
  }

  /** Why neither this nor anything around it takes statements any more. */
  #unusable(): unknown {
    return this.#end ?? this.#doom ?? (this.#outer === undefined ? undefined : this.#outer.#unusable())
  }

  #assertUsable(): void {
    const reason = this.#unusable()
    if (reason !== undefined) throw reason
  }

  async #execute<T>(run: () => MaybePromise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      const ended = this.#on.executor.endedBy(error)
      if (ended === 'transaction') this.#doomAll(error)
      else if (ended === 'savepoint') this.#doom ??= error
      throw error
    }
  }

  #doomAll(error: unknown): void {
    this.#doom ??= error
    if (this.#outer !== undefined) this.#outer.#doomAll(error)
  }

  /** Savepoints of one transaction come one after the other: their names nest, and so must they. */
  async #savepoint<T>(work: (nested: OpenTransaction) => Promise<T>): Promise<T> {
    while (this.#nested !== undefined) await this.#nested
    this.#assertUsable()
    const nested = new OpenTransaction(this.#on, { readOnly: this.#readOnly, outer: this })
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

  async #inside<T>(nested: OpenTransaction, work: (nested: OpenTransaction) => Promise<T>): Promise<T> {
    const name = `nested_${nested.#depth}`
    await this.#control(`SAVEPOINT ${name}`, name, 'opened')
    let result: T
    try {
      result = await nested.completing(work)
      if (nested.doom !== undefined) throw nested.doom
    } catch (error) {
      nested.end()
      if (this.#unusable() === undefined) await this.#control(`ROLLBACK TO ${name}; RELEASE ${name}`, name, 'undone')
      throw error
    }
    nested.end()
    this.#assertUsable()
    await this.#control(`RELEASE ${name}`, name, 'kept')
    return result
  }

  /** Runs `work` and waits for the savepoints that it did not wait for: half of one must not be committed. */
  async completing<T>(work: (tx: OpenTransaction) => Promise<T>): Promise<T> {
    const result = await work(this)
    while (this.#nested !== undefined) await this.#nested
    return result
  }

  async #control(sql: string, savepoint: string, step: SavepointStep): Promise<void> {
    try {
      await this.#on.executor.control(sql, savepoint, step)
    } catch (error) {
      this.#doomAll(error)
      throw error
    }
  }
}

/**
 * Runs `work`; past the time the transaction is over, whatever `work` still does. `undefined`: no limit. `of` is the whole
 * time, where some of it has passed before.
 */
export async function withinTime<T>(
  tx: OpenTransaction,
  work: (tx: OpenTransaction) => Promise<T>,
  timeoutMs: number | undefined,
  of = timeoutMs,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    if (timeoutMs === undefined) return await tx.completing(work)
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const message = `The transaction took longer than ${of} ms and was rolled back.`
        const error = new StorageError('TIMEOUT', message)
        tx.end(error)
        reject(error)
      }, timeoutMs)
    })
    return await Promise.race([tx.completing(work), late])
  } finally {
    clearTimeout(timer)
    tx.end()
  }
}
