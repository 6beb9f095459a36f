import { StorageError, type StorageErrorCode } from '../../../src/index.ts'
import { byBytes } from '../../support/expectations.ts'

/** Rows by key, as a `Map`; what a transaction does to them can be undone. */
export class Rows<R> {
  #rows = new Map<string, R>()
  readonly #changed: (key: string, before: R | undefined, after: R | undefined) => void

  constructor(changed: (key: string, before: R | undefined, after: R | undefined) => void = () => {}) {
    this.#changed = changed
  }

  get(key: string): R | undefined {
    const row = this.#rows.get(key)
    return row === undefined ? undefined : structuredClone(row)
  }

  set(key: string, row: R): R {
    const before = this.get(key)
    this.#rows.set(key, structuredClone(row))
    this.#changed(key, before, row)
    return row
  }

  delete(key: string): boolean {
    const before = this.get(key)
    const deleted = this.#rows.delete(key)
    if (deleted) this.#changed(key, before, undefined)
    return deleted
  }

  /** Copies of all of them, in the order of the keys. */
  all(): R[] {
    const keys = [...this.#rows.keys()].toSorted(byBytes)
    return keys.flatMap((key) => this.get(key) ?? [])
  }

  /** Returns a function that brings this moment back. */
  snapshot(): () => void {
    const kept = new Map(this.#rows)
    return () => {
      this.#rows = kept
    }
  }

  /** All that `work` does, or nothing of it. */
  atomically<T>(work: () => T): T {
    const undo = this.snapshot()
    try {
      return work()
    } catch (error) {
      undo()
      throw error
    }
  }
}

export const refuse = (code: StorageErrorCode): never => {
  throw new StorageError(code, 'refused by the model')
}

/** max(now, old + 1 ms) */
export const later = (old: Date, now: Date): Date => new Date(Math.max(now.getTime(), old.getTime() + 1))

interface PageOptions<R> {
  readonly orderBy?: string | undefined
  readonly descending?: boolean | undefined
  readonly limit?: number | undefined
  readonly after?: string | Partial<R> | undefined
}

/** A page of rows that are in the order of their keys. */
export function page<R extends object>(
  rows: R[],
  key: string & keyof R,
  { orderBy, descending = false, limit = 100, after }: PageOptions<R>,
): R[] {
  const place = (row: Partial<R>): readonly [number, string] => [
    orderBy === 'updatedAt' ? (row as unknown as { readonly updatedAt: Date }).updatedAt.getTime() : 0,
    String(row[key]),
  ]
  const compare = (a: Partial<R>, b: Partial<R>): number => {
    const [[timeA, keyA], [timeB, keyB]] = [place(a), place(b)]
    return (timeA - timeB || byBytes(keyA, keyB)) * (descending ? -1 : 1)
  }
  if (typeof after === 'string' && orderBy === 'updatedAt') refuse('VALIDATION')
  const from = typeof after === 'string' ? ({ [key]: after } as Partial<R>) : after
  return rows
    .toSorted(compare)
    .filter((row) => from === undefined || compare(row, from) > 0)
    .slice(0, limit)
}
