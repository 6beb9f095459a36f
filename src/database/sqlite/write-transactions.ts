import type { StorageError } from '../../errors.ts'
import { performance } from '../../event-loop.ts'
import type { SqliteConnection } from './connection.ts'
import { translated } from './errors.ts'
import { rollBack } from './raw-transaction.ts'
import type { WriteQueue } from './write-queue.ts'

interface Parts {
  readonly raw: SqliteConnection['raw']
  readonly queue: WriteQueue
  /** The error if the data has moved. The caller holds the lock of the file. */
  readonly movedInside: () => StorageError | undefined
  /** The error if the file was lost. */
  readonly lost: () => StorageError | undefined
  /** The error if the commit must not be acknowledged. */
  readonly committed: () => StorageError | undefined
}

/** Transactions on the writing connection. Each holds it, and the lock of the file, from BEGIN IMMEDIATE to COMMIT. */
export class WriteTransactions {
  readonly #parts: Parts
  /** Resolves when the connection is free again. `undefined`: it is free. */
  locked: Promise<void> | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Waits for the writes that are queued, and keeps later ones waiting until it is released. */
  async lock(): Promise<() => void> {
    const release = await this.#parts.queue.lock()
    const unlocked = Promise.withResolvers<void>()
    this.locked = unlocked.promise
    return () => {
      this.locked = undefined
      unlocked.resolve()
      release()
    }
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const { raw, queue, movedInside } = this.#parts
    const asked = performance.now()
    const release = await this.lock()
    try {
      await queue.begin(asked)
      const refusal = movedInside()
      if (refusal !== undefined) throw refusal
      const result = await work()
      this.#commit()
      return result
    } finally {
      if (raw.inTransaction) rollBack(raw)
      release()
    }
  }

  /** The same for work past the statements, also where the data has moved. The commit is on disk whatever `durability` says. */
  async runDurably<T>(work: (raw: SqliteConnection['raw']) => Promise<T>): Promise<T> {
    const { raw, queue, lost } = this.#parts
    const asked = performance.now()
    const release = await this.lock()
    const error = lost()
    if (error !== undefined) {
      release()
      throw error
    }
    const durability = raw.pragma('synchronous', { simple: true })
    try {
      raw.pragma('synchronous = FULL')
      await queue.begin(asked)
      const result = await work(raw)
      this.#commit()
      return result
    } catch (error) {
      throw translated(error, raw.name)
    } finally {
      if (raw.inTransaction) rollBack(raw)
      if (raw.open) raw.pragma(`synchronous = ${durability}`)
      release()
    }
  }

  #commit(): void {
    this.#parts.queue.commit()
    const unacknowledged = this.#parts.committed()
    if (unacknowledged !== undefined) throw unacknowledged
  }
}
