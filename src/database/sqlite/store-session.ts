import { misuse, type StorageError } from '../../errors.ts'
import type { Call, Calls, Session, WriteOptions, Written } from '../session.ts'
import type { Statement, StatementCompiler } from '../statement.ts'
import { type OpenTransaction, SLICE } from '../transaction.ts'
import type { SqliteConnection } from './connection.ts'

interface Host {
  readonly compiler: StatementCompiler
  read<T>(run: (reader: SqliteConnection) => T): Promise<T>
  write<T>(run: (writer: SqliteConnection) => T): Promise<T>
  unit<T>(work: (tx: OpenTransaction) => Promise<T>): Promise<T>
  refusal(): StorageError | undefined
}

/** The store outside of any transaction. */
export class StoreSession implements Session {
  readonly inTransaction = false
  readonly #database: Host

  constructor(database: Host) {
    this.#database = database
  }

  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    const bound = this.#database.compiler.bind(statement, parameters)
    return this.#database.read((reader) => reader.all(bound))
  }

  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    const bound = this.#database.compiler.bind(statement, parameters)
    return this.#database.read((reader) => reader.first(bound))
  }

  write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    { lookup }: WriteOptions<P, F> = {},
  ): Promise<Written<R, F>> {
    // A unit takes its place in the queue now: later writes wait until its parameters are known.
    if (parameters instanceof Promise) {
      return this.#database.unit(async (tx) => tx.write(statement, await parameters, { lookup }))
    }
    const { compiler } = this.#database
    const bound = compiler.bind(statement, parameters)
    if (lookup === undefined) return this.#database.write((writer) => writer.write(bound))
    const looking = compiler.bind(lookup, parameters)
    return this.#database.write((writer) => {
      const written = writer.write(bound)
      return written.changes > 0 ? written : { ...written, found: writer.all(looking) }
    })
  }

  writeEach<P, R, T>(calls: Calls<P, R>, result: (written: Written<R>, call: Call<P, R>) => T): Promise<T[]> {
    // Many calls get their own transaction, which yields to the event loop between slices.
    if (calls instanceof Promise || calls.length > SLICE) {
      return this.#database.unit((tx) => tx.writeEach(calls, result))
    }
    const unit = calls.map((call) => ({
      call,
      bound: this.#database.compiler.bind(call.statement, call.parameters),
    }))
    return this.#database.write((writer) =>
      writer.savepoint(() => unit.map(({ call, bound }) => result(writer.write(bound), call))),
    )
  }

  refusal(): StorageError | undefined {
    return this.#database.refusal()
  }

  transaction<T>(): Promise<T> {
    return Promise.reject(misuse('A transaction of the store is begun by the store.'))
  }
}
