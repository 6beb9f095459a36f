/** Live move that a store makes itself: `moveTo()`. */
import type { MoveOptions, MoveReport } from '../../api.ts'
import { MovableDatabase } from '../../database/movable-database.ts'
import type { Database } from '../../database/session.ts'
import { misuse, StorageError } from '../../errors.ts'
import { type Config, successorOf } from '../../open/config.ts'
import { openTarget } from '../../open/open.ts'
import * as rules from '../../schema/rules.ts'
import { assertArrived } from './handover.ts'

const RULES: rules.Rules = {
  maxPauseMs: rules.isInteger(1, rules.MAX_TIMER_MS),
  ignoreOtherTables: rules.isFlag,
  onProgress: rules.isFunction,
  signal: rules.isSignal,
}

export class StoreMove {
  readonly #database: Database
  readonly #config: Config
  #running: Promise<MoveReport> | undefined

  constructor(database: Database, config: Config) {
    this.#database = database
    this.#config = config
  }

  /** `closing` is aborted when the store closes. */
  async run(url: string, options: MoveOptions, closing: AbortSignal): Promise<MoveReport> {
    rules.checkOptions('The options', RULES, options)
    const database = this.#database
    if (!(database instanceof MovableDatabase) || database.current !== database.file)
      throw misuse('Data moves from a SQLite file only, and only once. Call moveTo() on a store of a file.')
    if (this.#config.readOnly)
      throw new StorageError(
        'READ_ONLY',
        'The store was opened read-only. Nothing was changed. Open it without readOnly.',
      )
    const refused = database.refusal()
    if (refused !== undefined) throw refused
    if (this.#running !== undefined) throw misuse('A move of this store is under way. Wait for it, or abort it.')
    const signal = options.signal === undefined ? closing : AbortSignal.any([closing, options.signal])
    this.#running = this.#move(database, url, { ...options, signal })
    try {
      return await this.#running
    } finally {
      this.#running = undefined
    }
  }

  async idle(): Promise<void> {
    await this.#running?.catch(() => {})
  }

  async #move(database: MovableDatabase, url: string, options: MoveOptions): Promise<MoveReport> {
    const { file } = database
    const to = successorOf(url)
    const { busyTimeoutMs } = this.#config
    let next: Database | undefined
    const onReady = async (): Promise<void> => {
      next = await openTarget(to, this.#config)
      database.setMoveTarget(next)
    }
    try {
      const { moveLive } = await import('./index.ts')
      const report = await moveLive({ file, url, to, busyTimeoutMs, options, onReady })
      await database.settled()
      // The mover may have lost its connection before it recorded its success; without the record no store opens the target.
      if (next !== undefined)
        await assertArrived(next, report.id, { readOnly: false, now: this.#config.now }).catch(() => {})
      return report
    } finally {
      // The file says where the data is, whether or not the move succeeded.
      await database.settled().catch(() => {})
      if (next !== undefined && database.current !== next) {
        database.setMoveTarget(undefined)
        await next.close()
      }
    }
  }
}
