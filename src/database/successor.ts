import { StorageError } from '../errors.ts'
import type { Database } from './session.ts'
import type { Moved } from './sqlite/fence.ts'

interface Options {
  readonly open: () => Promise<Database>
  /** Rejects if the data has not moved to that database. */
  readonly assertArrived: (database: Database, moved: Moved) => Promise<void>
}

/** The database that a file's data may move to: it is opened as soon as a move is under way, so that nobody waits for that at the switch. */
export class Successor {
  readonly #options: Options
  #ahead: Promise<Database | undefined> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  preload(isMoving: boolean): void {
    if (!isMoving) {
      // It was given up, or has not begun.
      if (this.#ahead !== undefined) this.close()
      return
    }
    // Why it cannot be opened is told when it has to be.
    this.#ahead ??= this.#options.open().catch(() => undefined)
  }

  async take(moved: Moved): Promise<Database> {
    const ahead = await this.#taken()
    if (ahead !== undefined) {
      try {
        return await this.#arrived(ahead, moved)
      } catch (error) {
        // It may have stood idle for too long: then another one will do.
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

  /** What was opened ahead and is not needed. */
  async close(): Promise<void> {
    const ahead = await this.#taken()
    await ahead?.close().catch(() => {})
  }
}
