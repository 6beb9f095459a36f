import { misuse, type StorageError } from '../../errors.ts'
import type { Call, Calls, Session, Written } from '../session.ts'
import type { BoundStatement, Statement, StatementCompiler } from '../statement.ts'
import type { OpenTransaction } from '../transaction.ts'

interface Host {
  readonly compiler: StatementCompiler
  read<R>(bound: BoundStatement<R>): Promise<R[]>
  write<P, R>(call: Call<P, R>): Promise<Written<R>>
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

  async read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    return this.#database.read(this.#database.compiler.bind(statement, parameters))
  }

  async readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    return (await this.read(statement, parameters))[0]
  }

  async write<P, R>(statement: Statement<P, R>, parameters: P | Promise<P>): Promise<Written<R>> {
    if (parameters instanceof Promise) return this.#database.unit((tx) => tx.write(statement, parameters))
    return this.#database.write({ statement, parameters })
  }

  writeEach<P, R, T>(calls: Calls<P, R>, result: (written: Written<R>, call: Call<P, R>) => T): Promise<T[]> {
    return this.#database.unit((tx) => tx.writeEach(calls, result))
  }

  refusal(): StorageError | undefined {
    return this.#database.refusal()
  }

  transaction<T>(): Promise<T> {
    return Promise.reject(misuse('A transaction of the store is begun by the store.'))
  }
}
