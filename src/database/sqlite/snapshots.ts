import type { StorageError } from '../../errors.ts'
import { InUse } from '../in-use.ts'
import type { BusyRetry } from './busy-retry.ts'
import type { SqliteConnection } from './connection.ts'
import { pin, rollBack } from './raw-transaction.ts'
import type { WalLimit } from './wal-limit.ts'

export interface Borrowed {
  readonly reader: SqliteConnection
  readonly giveBack: () => void
}

interface Parts {
  readonly borrow: () => Promise<Borrowed>
  readonly busyRetry: BusyRetry
  readonly walLimit: WalLimit
  /** The error if no snapshot may begin. */
  readonly refusal: () => StorageError | undefined
}

/** Consistent snapshots, each on a connection of its own for as long as it is open. */
export class Snapshots {
  readonly #parts: Parts
  readonly #inUse = new InUse()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** `what` names the work in messages. Long work looks at `ended`: the write-ahead log is too large for the snapshot to stay. */
  run<T>(what: string, work: (reader: SqliteConnection, ended: AbortSignal) => Promise<T>): Promise<T> {
    const { borrow, busyRetry, walLimit, refusal } = this.#parts
    const refused = refusal()
    if (refused !== undefined) return Promise.reject(refused)
    return this.#inUse.while(async () => {
      const { reader, giveBack } = await borrow()
      const { ended, release } = await walLimit.hold(what)
      try {
        await busyRetry.run(() => pin(reader.raw))
        return await work(reader, ended)
      } finally {
        if (reader.raw.inTransaction) rollBack(reader.raw)
        giveBack()
        release()
      }
    })
  }

  /** Resolves when none is open. */
  idle(): Promise<void> {
    return this.#inUse.idle()
  }
}

/** Settles as `work` does, or rejects when the snapshot must end. */
export async function unlessEnded<T>(ended: AbortSignal, work: Promise<T>, end: () => void): Promise<T> {
  const early = Promise.withResolvers<never>()
  const stop = (): void => {
    end()
    early.reject(ended.reason)
  }
  ended.addEventListener('abort', stop)
  try {
    return await Promise.race([work, early.promise])
  } finally {
    ended.removeEventListener('abort', stop)
  }
}
