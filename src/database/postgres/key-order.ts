import { ALL_TABLES } from '../../schema/tables.ts'
import type { Call } from '../session.ts'

/** What the repositories call a row's key. */
const KEY_PARAMETERS = ALL_TABLES.map(({ key }) => key.property)

/** The row that a call writes, if it names one. */
export function rowOf<P, R>({ parameters }: Call<P, R>): string | undefined {
  const values = parameters as Readonly<Record<string, unknown>>
  const name = KEY_PARAMETERS.find((key) => typeof values[key] === 'string')
  return name === undefined ? undefined : `${name} ${values[name]}`
}

/**
 * Writes of one row, one after the other, in the order in which they were called: on a pool of connections a later one
 * could overtake an earlier one. It costs nothing where there is no such pair, and spares the server a conflict where there is.
 */
export class KeyOrder {
  readonly #last = new Map<string, Promise<unknown>>()

  async next<T>(row: string | undefined, write: () => Promise<T>): Promise<T> {
    if (row === undefined) return write()
    const before = this.#last.get(row)
    const writing = before === undefined ? write() : before.then(write)
    const settled = writing.catch(() => {})
    this.#last.set(row, settled)
    try {
      return await writing
    } finally {
      if (this.#last.get(row) === settled) this.#last.delete(row)
    }
  }
}
