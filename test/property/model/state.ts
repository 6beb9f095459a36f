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

  /** What brings this moment back. */
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

export const page = <R>(
  rows: R[],
  keyOf: (row: R) => string,
  { limit = 100, after }: { limit?: number | undefined; after?: string | undefined },
): R[] => rows.filter((row) => after === undefined || byBytes(keyOf(row), after) > 0).slice(0, limit)
