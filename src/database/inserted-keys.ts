import type { Looks } from './statement.ts'

/** The keys with which a transaction has run inserts, whatever came of them, by how their table is read. */
export type Inserted = ReadonlyMap<Looks, ReadonlySet<string> | 'any'>

/** A transaction that inserts more rows of a table remembers the table alone: each key would cost 100 bytes. */
const MOST_KEYS = 10_000

export class InsertedKeys {
  readonly #byTable = new Map<Looks, Set<string> | 'any'>()

  get byTable(): Inserted {
    return this.#byTable
  }

  add(table: Looks, key: string): void {
    const keys = this.#byTable.get(table)
    if (keys === undefined) this.#byTable.set(table, new Set([key]))
    else if (keys !== 'any' && keys.add(key).size > MOST_KEYS) this.#byTable.set(table, 'any')
  }

  addAll(others: Inserted): void {
    for (const [table, keys] of others) {
      if (keys === 'any') this.#byTable.set(table, 'any')
      else for (const key of keys) this.add(table, key)
    }
  }
}
