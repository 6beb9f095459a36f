import { openConnection, type Patience, SqliteConnection } from './connection.ts'

/** Kept open for the next snapshot. */
const SPARE = 2

/** Connections for snapshots: each is one's own until it is given back. */
export class Readers {
  readonly #path: string
  readonly #patience: Patience
  readonly #spare: SqliteConnection[] = []
  #closed = false

  constructor(path: string, patience: Patience) {
    this.#path = path
    this.#patience = patience
  }

  async borrow(): Promise<{ reader: SqliteConnection; giveBack: () => void }> {
    const reader = this.#spare.pop() ?? (await this.#open())
    const giveBack = (): void => {
      if (this.#spare.length < SPARE && !this.#closed) this.#spare.push(reader)
      else reader.close()
    }
    return { reader, giveBack }
  }

  #open(): Promise<SqliteConnection> {
    return this.#patience.retry(() => new SqliteConnection(openConnection(this.#path, { readOnly: true })))
  }

  /** Those that are borrowed close when they are given back. */
  close(): void {
    this.#closed = true
    for (const reader of this.#spare.splice(0)) reader.close()
  }
}
