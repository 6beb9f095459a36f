import type { StorageError } from '../../errors.ts'
import type { SqliteConnection } from './connection.ts'
import { type Moved, movedError, prepareFenceQuery, prepareMoveQuery } from './fence.ts'

/** The fence as an open store sees it: whether the file's data has moved. */
export class Fence {
  readonly #writer: SqliteConnection
  readonly #forWriter: () => Moved | undefined
  readonly #forReaders: () => Moved | undefined
  readonly #isMoving: () => boolean
  #moved: Moved | undefined
  /** Errors of calls that were refused before they began, since the data has moved, with the data's new place. */
  readonly #refusals = new WeakMap<object, Moved>()

  constructor(writer: SqliteConnection, reader: SqliteConnection) {
    this.#writer = writer
    this.#forWriter = prepareFenceQuery(writer.raw)
    this.#forReaders = prepareFenceQuery(reader.raw)
    this.#isMoving = prepareMoveQuery(reader.raw)
  }

  /** MOVED if the data has moved. Call it while you hold the lock, which keeps the file from moving. */
  refusalInside(): StorageError | undefined {
    // The fence consists of triggers: an unchanged schema means an unchanged fence.
    if (this.#writer.isSchemaChanged()) this.#moved = this.#forWriter()
    if (this.#moved === undefined) return undefined
    const refusal = movedError(this.#moved)
    this.#refusals.set(refusal, this.#moved)
    return refusal
  }

  refusedAsMoved(error: unknown): Moved | undefined {
    return typeof error === 'object' && error !== null ? this.#refusals.get(error) : undefined
  }

  movedTo(): Moved | undefined {
    return this.#forReaders()
  }

  isMoving(): boolean {
    return this.#isMoving()
  }
}
