import type { StorageError } from '../errors.ts'
import type { Calls, Database, Rows, Session, WriteOptions, Written } from './session.ts'
import type { Statement } from './statement.ts'

interface Host {
  readonly current: Database
  mayRead(): boolean
  read<T>(work: (database: Database) => Promise<T>): Promise<T>
  run<T>(work: (database: Database) => Promise<T>): Promise<T>
}

/** The store outside of any transaction. */
export class SwitchingSession implements Session {
  readonly inTransaction = false
  readonly #database: Host

  constructor(database: Host) {
    this.#database = database
  }

  refusal(): StorageError | undefined {
    return this.#database.current.session.refusal()
  }

  read<P, R>(statement: Statement<P, R>, parameters: P): Promise<R[]> {
    return this.#read((session) => session.read(statement, parameters))
  }

  readOne<P, R>(statement: Statement<P, R>, parameters: P): Promise<R | undefined> {
    return this.#read((session) => session.readOne(statement, parameters))
  }

  #read<T>(read: (session: Session) => Promise<T>): Promise<T> {
    try {
      if (this.#database.mayRead()) return read(this.#database.current.session)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#database.read(({ session }) => read(session))
  }

  write<P, R, F>(
    statement: Statement<P, R>,
    parameters: P | Promise<P>,
    options?: WriteOptions<P, F>,
  ): Promise<Written<R, F>> {
    return this.#database.run(({ session }) => session.write(statement, parameters, options))
  }

  writeEach<P, R, T>(
    calls: Calls<P, R>,
    result: (written: Written<R>, call: { readonly statement: Statement<P, R>; readonly parameters: P }) => T,
    rows?: Rows,
  ): Promise<T[]> {
    return this.#database.run(({ session }) => session.writeEach(calls, result, rows))
  }

  transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#database.current.session.transaction(work)
  }
}
