import { misuse, type StorageError } from '../../errors.ts'
import type { Call, Calls, Rows, Session, WriteOptions, Written } from '../session.ts'
import type { Statement, StatementCompiler } from '../statement.ts'
import type { OpenTransaction } from '../transaction.ts'
import { type Touched, touchedByCalls, touchedByRows } from './touched.ts'

interface Host {
  readonly compiler: StatementCompiler
  read<P, R>(call: Call<P, R>): Promise<R[]>
  write<P, R, F>(call: Call<P, R>, lookup?: Statement<P, F>): Promise<Written<R, F>>
  unit<T>(touched: Touched, work: (tx: OpenTransaction) => Promise<T>): Promise<T>
  refusal(): StorageError | undefined
}

/** A call whose parameters are still being worked out names its rows: their place in the order is taken at once. */
function named(rows: Rows | undefined): Touched {
  if (rows === undefined) throw new TypeError('A write that is still being worked out names its rows.')
  return touchedByRows(rows)
}

/** The store outside of any transaction. */
export class StoreSession implements Session {
  readonly inTransaction = false
  readonly #database: Host

  constructor(database: Host) {
    this.#database = database
  }

  async read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    return this.#database.read({ statement, parameters })
  }

  async readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    return (await this.read(statement, parameters))[0]
  }

  async write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    { rows, lookup }: WriteOptions<P, F> = {},
  ): Promise<Written<R, F>> {
    if (!(parameters instanceof Promise)) return this.#database.write({ statement, parameters }, lookup)
    return this.#database.unit(named(rows), async (tx) => tx.write(statement, await parameters, { lookup }))
  }

  writeEach<P, R, T>(
    calls: Calls<P, R>,
    result: (written: Written<R>, call: Call<P, R>) => T,
    rows?: Rows,
  ): Promise<T[]> {
    const touched = calls instanceof Promise ? named(rows) : touchedByCalls(this.#database.compiler, calls)
    return this.#database.unit(touched, (tx) => tx.writeEach(calls, result))
  }

  refusal(): StorageError | undefined {
    return this.#database.refusal()
  }

  transaction<T>(): Promise<T> {
    return Promise.reject(misuse('A transaction of the store is begun by the store.'))
  }
}
