import { isError } from '../../errors.ts'
import type { SavepointStep } from '../transaction.ts'
import { translated } from './errors.ts'

const GUARD = 'guard'
/** Goes with the beginning of a transaction. */
export const SET_GUARD = `SAVEPOINT ${GUARD}`

interface Level {
  /** The last savepoint. */
  point: string
  /** Whether something would be lost that must not be if all after that savepoint were undone. */
  written: boolean
}

/**
 * Where in a transaction a statement that fails is undone to. After an error the server refuses everything but a ROLLBACK,
 * which may be one to the last savepoint; on SQLite what failed is undone alone. So there is a savepoint between a write and
 * what follows it: it travels ahead of that, without an answer being waited for.
 *
 * The first one comes with BEGIN. As long as nothing has been written, ROLLBACK and another BEGIN would do as well, but what
 * follows would see another moment than the one in which the statement was refused.
 *
 * Each is released by the next, so that they do not nest. The server still keeps account of every one in which something was
 * written, and no longer in its fast list past 64 of them: the many rows of one call have one for all.
 */
export class StatementSavepoints {
  /** What was undone alone. */
  readonly #undone = new WeakSet<object>()
  /** The transaction, and the savepoints that are open in it. */
  readonly #levels: Level[] = [{ point: GUARD, written: false }]

  get #level(): Level {
    const level = this.#levels.at(-1)
    if (level === undefined) throw new TypeError('The transaction itself is always open.')
    return level
  }

  /** What is to be sent ahead of a statement; nothing where nothing has been written since the last savepoint. */
  ahead(): string | undefined {
    const { point, written } = this.#level
    if (!written) return undefined
    return point === GUARD ? `RELEASE ${GUARD}; ${SET_GUARD}` : SET_GUARD
  }

  /** What was sent ahead has been done. */
  set(): void {
    this.#level.point = GUARD
    this.#level.written = false
  }

  wrote(): void {
    this.#level.written = true
  }

  undoing(): string {
    return `ROLLBACK TO ${this.#level.point}`
  }

  undid(error: unknown): void {
    if (isError(error)) this.#undone.add(error)
  }

  hasUndone(error: unknown): boolean {
    return isError(error) && this.#undone.has(error)
  }

  /** Anything that a driver call threw, as a StorageError of which the same is known. */
  translated(failure: unknown): unknown {
    const error = translated(failure)
    if (this.hasUndone(failure)) this.undid(error)
    return error
  }

  follow(savepoint: string, step: SavepointStep): void {
    if (step === 'opened') {
      this.#levels.push({ point: savepoint, written: false })
      return
    }
    // Its own guards have gone with it, and that of what is around it is the last savepoint again.
    this.#levels.pop()
    if (step === 'kept') this.wrote()
  }
}
