import { StorageError } from '../errors.ts'
import type { Database } from './session.ts'
import type { Moved } from './sqlite/fence.ts'

interface Options {
  readonly open: () => Promise<Database>
  /** Rejects if the data has not moved to that database. */
  readonly assertArrived: (database: Database, moved: Moved) => Promise<void>
}

/** The database to which a file's data may move. It is opened when a move begins, so that the cutover does not wait for it. */
export class Successor {
  readonly #options: Options
  #ahead: Promise<Database | undefined> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  preload(isMoving: boolean): void {
    if (!isMoving) {
      // The move was aborted or has not begun.
      if (this.#ahead !== undefined) this.close()
      return
    }
    // Ignore the error here: `take()` opens again and reports it.
    this.#ahead ??= this.#options.open().catch(() => undefined)
  }

  async take(moved: Moved): Promise<Database> {
    const ahead = await this.#taken()
    if (ahead !== undefined) {
      try {
        return await this.#arrived(ahead, moved)
      } catch (error) {
        // The preloaded connection may have expired: open another.
        if (!(error instanceof StorageError) || !error.retryable) throw error
      }
    }
    return this.#arrived(await this.#options.open(), moved)
  }

  #taken(): Promise<Database | undefined> {
    const ahead = this.#ahead
    this.#ahead = undefined
    return ahead ?? Promise.resolve(undefined)
  }

  async #arrived(database: Database, moved: Moved): Promise<Database> {
    try {
      await this.#options.assertArrived(database, moved)
      return database
    } catch (error) {
      await database.close()
      throw error
    }
  }

  /** Closes the preloaded database if nobody took it. */
  async close(): Promise<void> {
    const ahead = await this.#taken()
    await ahead?.close().catch(() => {})
  }
}
