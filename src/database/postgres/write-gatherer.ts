import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate } from '../../event-loop.ts'
import type { Call, Written } from '../session.ts'
import type { BoundStatement, Bulk } from '../statement.ts'
import { bindBulk, keyOf, resultsOf } from './bulk.ts'
import { sqlstateOf } from './errors.ts'

/** Rows of one statement: more gain nothing, and hold their locks for longer. */
const BATCH_ROWS = 125
/** A row was refused for what it is, by a type, a constraint or a trigger: the others of its batch are not to blame. */
const REFUSED_ROW = /^(22|23|54|P0)/

type Run = <R>(bound: BoundStatement<R>, batch: number) => Promise<Written<R>>

interface Item {
  readonly call: Call<never, unknown>
  /** The same by itself. */
  readonly bound: BoundStatement<unknown>
  readonly resolve: (written: never) => void
  readonly reject: (error: unknown) => void
}

/**
 * Single writes of the same moment become one statement, each with a result of its own: a commit on the server costs as
 * much for a hundred rows as for one. A key occurs once at a time: `KeyOrder` keeps later writes of it back. Rows are sorted
 * by key: in opposite orders two batches would lock each other out.
 */
export class WriteGatherer {
  readonly #run: Run
  readonly #lanes = new Map<Bulk<unknown>, Lane>()

  constructor(run: Run) {
    this.#run = run
  }

  write<P, R>(bulk: Bulk<R>, call: Call<P, R>, bound: BoundStatement<R>): Promise<Written<R>> {
    let lane = this.#lanes.get(bulk)
    if (lane === undefined) {
      lane = new Lane(bulk, this.#run)
      this.#lanes.set(bulk, lane)
    }
    const { promise, resolve, reject } = Promise.withResolvers<Written<R>>()
    // A lane holds calls of one statement alone: what comes out of it has the type that went in.
    lane.add({ call: call as unknown as Item['call'], bound, resolve: resolve as Item['resolve'], reject })
    return promise
  }
}

/** The calls of one statement. */
class Lane {
  readonly #bulk: Bulk<unknown>
  readonly #run: Run
  readonly #outside = AsyncLocalStorage.snapshot()
  #waiting: Item[] = []
  #scheduled = false

  constructor(bulk: Bulk<unknown>, run: Run) {
    this.#bulk = bulk
    this.#run = run
  }

  add(item: Item): void {
    this.#waiting.push(item)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#outside(() => setImmediate(() => this.#flush()))
  }

  #flush(): void {
    this.#scheduled = false
    const waiting = this.#waiting
    this.#waiting = []
    for (let from = 0; from < waiting.length; from += BATCH_ROWS) {
      const batch = waiting.slice(from, from + BATCH_ROWS)
      void (batch.length === 1 ? this.#writeSingly(batch) : this.#writeTogether(batch))
    }
  }

  async #writeTogether(batch: Item[]): Promise<void> {
    const sorted = batch.toSorted((a, b) => compare(keyOf(this.#bulk, a.call), keyOf(this.#bulk, b.call)))
    const calls = sorted.map(({ call }) => call)
    try {
      const { rows } = await this.#run(bindBulk(this.#bulk, calls), calls.length)
      for (const [index, written] of resultsOf(this.#bulk, calls, rows).entries())
        sorted[index]?.resolve(written as never)
    } catch (error) {
      if (REFUSED_ROW.test(sqlstateOf(error) ?? '')) await this.#writeSingly(batch)
      else for (const { reject } of batch) reject(error)
    }
  }

  async #writeSingly(batch: Item[]): Promise<void> {
    for (const { bound, resolve, reject } of batch)
      await this.#run(bound, 1).then((written) => resolve(written as never), reject)
  }
}

const compare = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : 1)
