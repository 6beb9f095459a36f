import { misuse, present, propertyOf, StorageError } from '../errors.ts'
import { nextTurn } from '../event-loop.ts'
import { CallOrder } from './call-order.ts'
import { after, type Executor, type MaybePromise, type Naming, type SavepointStep } from './executor.ts'
import { InsertedKeys } from './inserted-keys.ts'
import type {
  Call,
  Calls,
  ReadPart,
  Rows,
  Snapshot,
  TransactionGuard,
  TransactionSession,
  WriteOptions,
  Written,
} from './session.ts'
import type { BoundStatement, Looks, Statement, StatementCompiler } from './statement.ts'

/** A unit of many statements yields to the event loop after this number of statements. */
export const SLICE = 500

interface On {
  readonly executor: Executor
  readonly compiler: StatementCompiler
  readonly guard: TransactionGuard
  readonly naming?: Naming | undefined
  /** The error of a refused call, with its row's key, where the executor does not name it. */
  readonly refused?: (<P, R>(error: unknown, call: Call<P, R>) => unknown) | undefined
}

const endedError = (): StorageError =>
  misuse('The transaction has ended. Use `tx` only inside its callback, and await what it returns.')

/**
 * A transaction, or a savepoint in a transaction. Statements run when they are called. The opener of the transaction commits.
 */
export class OpenTransaction implements TransactionSession {
  readonly inTransaction = true
  readonly snapshot: Snapshot | undefined
  readonly readPart: ReadPart | undefined
  readonly #on: On
  readonly #readOnly: boolean
  readonly #isUnit: boolean
  readonly #outer: OpenTransaction | undefined
  readonly #depth: number
  /** Open savepoints and waiting statements: all later statements wait for them. */
  readonly #order = new CallOrder()
  /** Every transaction ends, and few are called afterwards: an error with its stack would cost a quarter of the transaction. */
  #end: (() => StorageError) | undefined
  #doom: unknown
  readonly #inserted = new InsertedKeys()

  /** `isUnit`: one call of the library's own. If it fails, the whole transaction is rolled back, and it needs no savepoint. */
  constructor(on: On, options: { readOnly: boolean; isUnit?: boolean; outer?: OpenTransaction }) {
    this.#on = on
    const { part } = on.executor
    if (part !== undefined) {
      this.snapshot = (work) => this.#unit(work)
      this.readPart = (statement, parameters) => this.#run(statement, parameters, part, { reads: true })
    }
    this.#readOnly = options.readOnly
    this.#isUnit = options.isUnit ?? false
    this.#outer = options.outer
    this.#depth = options.outer === undefined ? 0 : options.outer.#depth + 1
  }

  get ended(): boolean {
    return this.#end !== undefined || (this.#outer?.ended ?? false)
  }

  /** The error that ended the transaction in the database, also if the callback caught it. */
  get doom(): unknown {
    return this.#doom
  }

  /** Every later call rejects with `reason`. */
  end(reason?: StorageError): void {
    this.#end ??= reason === undefined ? endedError : () => reason
  }

  refusal(): StorageError | undefined {
    return this.#end?.() ?? this.#on.guard.misuseOf(this)
  }

  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    return this.#run(statement, parameters, (bound) => this.#on.executor.all(bound), { reads: true })
  }

  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    return this.#run(statement, parameters, (bound) => this.#on.executor.first(bound), { reads: true })
  }

  async write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    { rows, lookup }: WriteOptions<P, F> = {},
  ): Promise<Written<R, F>> {
    this.#assertWritable()
    if (parameters instanceof Promise) {
      if (rows !== undefined) this.#on.naming?.rows(rows)
      // Statements that come after it wait for it.
      return this.#unit(async (unit) => unit.write(statement, await parameters, { lookup }))
    }
    const { executor } = this.#on
    const insert = this.#noteInsert({ statement, parameters })
    if (lookup === undefined && insert === undefined)
      return this.#run(statement, parameters, (bound) => executor.write(bound))
    const look = (written: Written<R>): MaybePromise<Written<R, F>> => {
      if (lookup !== undefined) return this.#lookedUp(written, { parameters, lookup })
      if (insert === undefined) return written
      return after(executor.lookAt?.(new Map([[insert.looks, new Set([insert.key])]])), () => written)
    }
    const run = (bound: BoundStatement<R>): MaybePromise<Written<R, F>> =>
      after(executor.write(bound), (written) => (written.changes > 0 ? written : look(written)))
    return this.#run(statement, parameters, run, { many: true })
  }

  async writeEach<P, R, T>(
    calls: Calls<P, R>,
    result: (written: Written<R, unknown>, call: Call<P, R>) => T,
    rows?: Rows,
  ): Promise<T[]> {
    this.#assertWritable()
    if (!(calls instanceof Promise)) this.#on.naming?.calls(calls)
    else if (rows !== undefined) this.#on.naming?.rows(rows)
    const write = async (unit: OpenTransaction): Promise<T[]> => {
      const all = await calls
      const results: T[] = []
      for (let from = 0; from < all.length; from += SLICE) {
        if (from > 0) await nextTurn()
        const slice = all.slice(from, from + SLICE)
        const add = (written: Written<R, unknown>, call: Call<P, R>): number => results.push(result(written, call))
        await unit.#writeSlice(slice, add)
      }
      return results
    }
    return this.#isUnit ? write(this) : this.#unit(write)
  }

  async #writeSlice<P, R>(
    calls: readonly Call<P, R>[],
    add: (written: Written<R, unknown>, call: Call<P, R>) => void,
  ): Promise<void> {
    const { executor, compiler } = this.#on
    this.#assertUsable()
    for (const call of calls) this.#noteInsert(call)
    if (executor.writeSlice !== undefined) {
      const written = await this.#execute(async () => executor.writeSlice?.(calls) ?? [])
      for (const [index, each] of written.entries()) {
        const call = present(calls[index])
        // Most rows are written: no turn of the microtask queue for each.
        const looked = this.#lookedUp(each, call)
        add(looked instanceof Promise ? await this.#execute(() => looked) : looked, call)
      }
      return
    }
    const bounds = calls.map(({ statement, parameters }) => compiler.bind(statement, parameters))
    let next = 0
    await this.#execute(() => {
      try {
        executor.writeAll?.(bounds, (written, at) => {
          next = at + 1
          const call = present(calls[at])
          // Synchronous, as the dialect's writes are.
          void after(this.#lookedUp(written, call), (each) => add(each, call))
        })
      } catch (error) {
        const call = calls[next]
        throw call === undefined ? error : this.#refusalOf(error, call)
      }
    })
  }

  /** The outcome of a call that wrote nothing, with the row that its lookup finds. */
  #lookedUp<P, R, F>(
    written: Written<R>,
    { parameters, lookup }: { readonly parameters: P; readonly lookup?: Statement<NoInfer<P>, F> | undefined },
  ): MaybePromise<Written<R, F>> {
    const { executor, compiler } = this.#on
    if (lookup === undefined || written.changes > 0) return written
    return after(executor.all(compiler.bind(lookup, parameters)), (found) => ({ ...written, found }))
  }

  #refusalOf<P, R>(error: unknown, call: Call<P, R>): unknown {
    const { executor, refused } = this.#on
    return refused?.(error, call) ?? executor.refusalOf?.(error, call) ?? error
  }

  /** Returns the insert's key. `undefined` if the dialect knows that the transaction depends on it. */
  #noteInsert<P, R>({ statement, parameters }: Call<P, R>): { looks: Looks; key: string } | undefined {
    const { executor, compiler } = this.#on
    if (executor.lookAt === undefined || statement.kind !== 'inserts one row') return undefined
    const { looks, key: name } = compiler.target(statement) ?? {}
    if (looks === undefined || name === undefined) return undefined
    const key = String(propertyOf(parameters, name))
    // No caller has seen the rows that a rollback of the whole transaction undoes.
    if (this.#outer !== undefined) this.#inserted.add(looks, key)
    return { looks, key }
  }

  /** Runs a savepoint of the library's own, without the caller's code. */
  async #unit<T>(work: (unit: OpenTransaction) => Promise<T>): Promise<T> {
    const misused = this.#on.guard.misuseOf(this)
    if (misused !== undefined) throw misused
    return this.#savepoint(work)
  }

  async transaction<T>(work: (session: TransactionSession) => Promise<T>): Promise<T> {
    const misused = this.#on.guard.misuseOf(this)
    if (misused !== undefined) throw misused
    return this.#savepoint((nested) => this.#on.guard.run(nested, () => work(nested)), true)
  }

  #assertWritable(): void {
    if (this.#readOnly)
      throw new StorageError(
        'READ_ONLY',
        'A write in a read-only transaction was refused. Nothing was written. Leave readOnly out.',
      )
  }

  /** `many`: `run` consists of several statements, between which no other statement may run. */
  async #run<P, R, T>(
    statement: Statement<P, R>,
    parameters: P,
    run: (bound: BoundStatement<R>) => MaybePromise<T>,
    { reads = false, many = false }: { reads?: boolean; many?: boolean } = {},
  ): Promise<T> {
    const { guard, compiler, naming } = this.#on
    const misused = guard.misuseOf(this)
    if (misused !== undefined) throw misused
    const bound = compiler.bind(statement, parameters)
    const earlier = naming?.call({ statement, parameters }, reads)
    const runIt = (): Promise<T> => {
      this.#assertUsable()
      return this.#execute(() => run(bound), { statement, parameters })
    }
    const isNext = earlier === undefined && this.#order.last === undefined
    return isNext && !(many && naming !== undefined) ? runIt() : this.#enqueue(earlier, runIt)
  }

  #enqueue<T>(earlier: Promise<void> | undefined, work: () => Promise<T>): Promise<T> {
    // The statement would wait while the transaction holds locks: begin again.
    return this.#order.run(earlier, work, (error) => this.#doomAll(error))
  }

  /** The error that ended this transaction or an outer one, if any. */
  #unusable(): unknown {
    return this.#end?.() ?? this.#doom ?? (this.#outer === undefined ? undefined : this.#outer.#unusable())
  }

  #assertUsable(): void {
    const reason = this.#unusable()
    if (reason !== undefined) throw reason
  }

  async #execute<P, R, T>(run: () => MaybePromise<T>, call?: Call<P, R>): Promise<T> {
    const { executor } = this.#on
    try {
      return await run()
    } catch (thrown) {
      const ended = executor.endedBy(thrown)
      const error = call === undefined ? thrown : this.#refusalOf(thrown, call)
      if (ended === 'transaction') this.#doomAll(error)
      else if (ended === 'savepoint') this.#doom ??= error
      throw error
    }
  }

  #doomAll(error: unknown): void {
    this.#doom ??= error
    if (this.#outer !== undefined) this.#outer.#doomAll(error)
  }

  /**
   * Runs the savepoints of a transaction one after the other, since savepoints nest. `startsAtOnce`: the callback starts now, so that
   * its statements take their places in the queue of calls; they wait for the savepoint.
   */
  async #savepoint<T>(work: (nested: OpenTransaction) => Promise<T>, startsAtOnce = false): Promise<T> {
    if (this.#order.last === undefined) this.#assertUsable()
    const nested = new OpenTransaction(this.#on, { readOnly: this.#readOnly, outer: this })
    const { naming } = this.#on
    if (naming === undefined || !startsAtOnce) {
      return this.#enqueue(naming?.earlier(), () => {
        this.#assertUsable()
        return this.#inside(nested, () => nested.completing(work))
      })
    }
    const opened = Promise.withResolvers<void>()
    nested.#order.waitFor(opened.promise)
    const running = nested.completing(work)
    running.catch(() => {})
    const done = this.#enqueue(naming.earlier(), () => {
      this.#assertUsable()
      return this.#inside(nested, () => {
        opened.resolve()
        return running
      })
    })
    done.catch((error) => {
      nested.end(error)
      opened.resolve()
    })
    return done
  }

  async #inside<T>(nested: OpenTransaction, work: () => Promise<T>): Promise<T> {
    const name = `nested_${nested.#depth}`
    await this.#control(`SAVEPOINT ${name}`, name, 'opened')
    let result: T
    try {
      result = await work()
      if (nested.doom !== undefined) throw nested.doom
    } catch (error) {
      nested.end()
      if (this.#unusable() === undefined) {
        await this.#control(`ROLLBACK TO ${name}; RELEASE ${name}`, name, 'undone')
        const { byTable } = nested.#inserted
        if (byTable.size > 0) await this.#execute(() => this.#on.executor.lookAt?.(byTable))
      }
      throw error
    }
    nested.end()
    this.#assertUsable()
    await this.#control(`RELEASE ${name}`, name, 'kept')
    if (this.#outer !== undefined) this.#inserted.addAll(nested.#inserted.byTable)
    return result
  }

  /** Runs `work`, then waits for savepoints that it did not await: half of a savepoint must not be committed. */
  async completing<T>(work: (tx: OpenTransaction) => Promise<T>): Promise<T> {
    const result = await work(this)
    while (this.#order.last !== undefined) await this.#order.last
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
