import { misuse } from '../../errors.ts'
import type { Call, Session, Written } from '../session.ts'
import type { Statement } from '../statement.ts'
import { SLICE } from '../transaction.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/** The store outside of any transaction. */
export class StoreSession implements Session {
  readonly inTransaction = false
  readonly #database: SqliteDatabase

  constructor(database: SqliteDatabase) {
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

  write<P, R>(statement: Statement<P, R>, parameters: P): Promise<Written<R>> {
    const bound = this.#database.compiler.bind(statement, parameters)
    return this.#database.write((writer) => writer.write(bound))
  }

  writeEach<P, R, T>(calls: readonly Call<P, R>[], result: (written: Written<R>, index: number) => T): Promise<T[]> {
    // Many are a transaction of their own, in slices, so that the event loop runs on.
    if (calls.length > SLICE) return this.#database.unit((tx) => tx.writeEach(calls, result))
    const unit = calls.map(({ statement, parameters }) => this.#database.compiler.bind(statement, parameters))
    return this.#database.write((writer) =>
      writer.savepoint(() => unit.map((bound, index) => result(writer.write(bound), index))),
    )
  }

  transaction<T>(): Promise<T> {
    return Promise.reject(misuse('A transaction of the store is begun by the store.'))
  }
}
