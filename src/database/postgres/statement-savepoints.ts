import { isError } from '../../errors.ts'
import type { SavepointStep } from '../executor.ts'
import { translated } from './errors.ts'
import type { Token } from './outcomes.ts'

const GUARD = 'guard'
/** Sent together with BEGIN. */
export const SET_GUARD = `SAVEPOINT ${GUARD}`

interface Level {
  /** The last savepoint. */
  point: string
  /** Whether a write came after the savepoint: rolling back to it would lose the write. */
  written: boolean
}

/**
 * Savepoints that let a failed statement be rolled back alone, as on SQLite: after an error PostgreSQL accepts only a ROLLBACK, at
 * least to the last savepoint. A savepoint stands between a write and the next statement. It is sent in the same packet as that
 * statement, so that it costs no round trip.
 *
 * The first savepoint comes with BEGIN. Before the first write, ROLLBACK and a new BEGIN would do as well, but later statements
 * would get another snapshot.
 *
 * Each savepoint is released by the next, so that they do not nest. The server remembers each one that had a write, and leaves its
 * fast list after 64 of them: the rows of one call share a savepoint.
 */
export class StatementSavepoints {
  /** Errors of statements that were rolled back alone. */
  readonly #undone = new WeakSet<object>()
  /** The transaction and its open savepoints. */
  readonly #levels: Level[] = [{ point: GUARD, written: false }]
  /** The transaction's token, which goes ahead of its first write. */
  readonly token: Token | undefined

  constructor(token?: Token) {
    this.token = token
  }

  get #level(): Level {
    const level = this.#levels.at(-1)
    if (level === undefined) throw new TypeError('The transaction itself is always open.')
    return level
  }

  /** The SQL to send before a statement; `undefined` if nothing was written since the last savepoint. */
  ahead(): string | undefined {
    const { point, written } = this.#level
    if (!written) return undefined
    return point === GUARD ? `RELEASE ${GUARD}; ${SET_GUARD}` : SET_GUARD
  }

  /** The server has set the savepoint. */
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
    this.token?.undone()
    if (isError(error)) this.#undone.add(error)
  }

  hasUndone(error: unknown): boolean {
    return isError(error) && this.#undone.has(error)
  }

  /** Translates a driver's error. The StorageError keeps the note that its statement was rolled back alone. */
  translated(failure: unknown): unknown {
    const error = translated(failure)
    if (this.hasUndone(failure) && isError(error)) this.#undone.add(error)
    return error
  }

  follow(savepoint: string, step: SavepointStep): void {
    if (step === 'opened') {
      this.#levels.push({ point: savepoint, written: false })
      return
    }
    // Its own savepoints ended with it: the outer level's savepoint is the last one again.
    this.#levels.pop()
    if (step === 'kept') this.wrote()
    else this.token?.undone()
  }
}
