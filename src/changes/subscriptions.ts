import type { ChangesOptions, SubscribersHealth } from '../api.ts'
import type { ChangeLog, Database } from '../database/session.ts'
import { StorageError } from '../errors.ts'
import { LogPoller } from './poller.ts'
import { ChangeStream } from './stream.ts'

export class Subscriptions {
  readonly #database: Database
  readonly #poller: LogPoller
  readonly #readOnly: boolean
  /** Streams whose callers read. A caller may abandon a stream after an error. */
  readonly #streams = new Set<ChangeStream>()

  constructor(database: Database, { readOnly }: { readOnly: boolean }) {
    this.#database = database
    this.#poller = new LogPoller(database)
    this.#readOnly = readOnly
  }

  begin(options: ChangesOptions = {}, { mayResume = true } = {}): ChangeStream {
    if (this.#readOnly)
      throw new StorageError(
        'READ_ONLY',
        'The store was opened read-only, and a subscriber is noted in the database. Nothing was written. Open it without readOnly.',
      )
    const onReading = (reads: boolean): void => {
      if (reads) this.#streams.add(stream)
      else this.#streams.delete(stream)
    }
    const stream = new ChangeStream(this.#database, this.#poller, options, { mayResume, onReading })
    return stream
  }

  /** `undefined` if no caller reads from a stream. */
  health(): SubscribersHealth | undefined {
    const behind = Array.from(this.#streams, ({ behindSeconds }) => behindSeconds)
    return behind.length === 0 ? undefined : { open: behind.length, behindSeconds: Math.max(...behind) }
  }

  /** Resolves when no stream reads from `log`. */
  async left(log: ChangeLog): Promise<void> {
    await Promise.all(Array.from(this.#streams, (stream) => stream.left(log)))
  }

  /** Ends all streams. Returns the consumers that the log shall forget. */
  stop(reason: StorageError): string[] {
    return Array.from(this.#streams, (stream) => stream.stop(reason) ?? []).flat()
  }
}
