/** Ships a database to its place while a store is open. It keeps no process running, and makes no other call fail or wait. */
import { AsyncResource } from 'node:async_hooks'
import type { ReplicationHealth, Retention } from '../api.ts'
import { StorageError } from '../errors.ts'
import { performance } from '../event-loop.ts'
import { replicationTracing, tracePromise } from '../tracing.ts'
import { Chain, type ChainOptions, type Step } from './chain.ts'
import { isFenced, Outrun, ofCopy } from './errors.ts'
import { lastHeaderOf } from './look.ts'
import type { SegmentHeader } from './object.ts'
import { prune } from './prune.ts'

export interface ShipperOptions extends ChainOptions {
  readonly everyMs: number
  readonly keep: Retention
  readonly onFenced?: 'report' | 'refuse' | undefined
  /** Replaces `TAKE_OVER_MS`. For tests. */
  readonly takeOverMs?: number | undefined
}

const MOST_BACKOFF_MS = 10_000
const PRUNE_EVERY_MS = 3_600_000
const LOOK_EVERY_MS = 3_600_000
/** A process that stands by takes over when the place did not change for so long, in milliseconds. */
const TAKE_OVER_MS = 10_000
/** Attempts of `flush()` while another process ships, too. */
const FLUSH_ATTEMPTS = 5

export class Shipper {
  readonly #options: ShipperOptions
  readonly #chain: Chain
  readonly #round: () => void
  #timer: NodeJS.Timeout | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #isStopped = true
  #pauseMs = 0
  #upTo: Date | undefined
  #failure: unknown
  #isFenced = false
  /** While another process ships: its last segment, and since when that is the last. */
  #standsBy: { last: SegmentHeader | undefined; since: number } | undefined
  #prunedAt = Number.NEGATIVE_INFINITY
  #lookedAt = Number.NEGATIVE_INFINITY
  #leftBehind: readonly string[] = []

  constructor(options: ShipperOptions) {
    this.#options = options
    this.#chain = new Chain(options)
    this.#round = AsyncResource.bind(() => void this.#run())
  }

  start(): void {
    this.#isStopped = false
    this.#wait(0)
  }

  /** Resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#options.place.stop?.()
    await Promise.all([this.#turn.catch(() => {}), this.#chain.stop()])
  }

  health(): ReplicationHealth {
    const { place, now } = this.#options
    const upTo = this.#upTo
    return {
      place: place.name,
      upTo,
      behindSeconds: upTo && Math.max(0, (now().getTime() - upTo.getTime()) / 1_000),
      standsBy: this.#standsBy !== undefined,
      leftBehind: this.#leftBehind,
      problem: this.#problem(),
    }
  }

  #problem(): ReplicationHealth['problem'] {
    const failure = this.#failure ?? this.#chain.baseFailure
    if (failure === undefined) return undefined
    if (failure instanceof StorageError) return { code: failure.code, message: failure.message }
    return {
      code: 'UNAVAILABLE',
      message: 'A segment could not be shipped. Nothing is lost: it is shipped again. Look at the place.',
    }
  }

  /** Resolves when the place has everything that was committed before this call. Rejects with why it has not. */
  async flush(): Promise<void> {
    // A shipper that stands by does not wait for the other one: the database lets one of them ship each segment. A copy is another database.
    for (let attempt = 0; attempt < FLUSH_ATTEMPTS; attempt++) {
      await this.#next({ mayStandBy: this.#failure !== undefined })
      if (this.#standsBy === undefined || this.#failure !== undefined) break
    }
    if (this.#failure !== undefined) throw this.#failure
    if (this.#standsBy !== undefined)
      throw new StorageError(
        'BUSY',
        'Another process ships this database. Nothing was shipped by this one. Try again later.',
      )
    await this.#chain.based()
    this.#noteBased()
  }

  #wait(milliseconds: number): void {
    if (this.#isStopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#round, milliseconds)
    this.#timer.unref()
  }

  async #run(): Promise<void> {
    const begun = performance.now()
    await this.#next()
    const { everyMs } = this.#options
    const failed = this.#failure !== undefined
    this.#pauseMs = failed ? Math.min(Math.max(MOST_BACKOFF_MS, everyMs), Math.max(250, this.#pauseMs * 2)) : 0
    this.#wait(failed ? this.#pauseMs : Math.max(1, everyMs - (performance.now() - begun)))
  }

  /** One after the other. */
  #next(options?: { readonly mayStandBy: boolean }): Promise<void> {
    const result = this.#turn.then(() => this.#cycle(options))
    this.#turn = result
    return result
  }

  async #cycle({ mayStandBy } = { mayStandBy: true }): Promise<void> {
    try {
      if (mayStandBy && this.#standsBy !== undefined && !(await this.#mayTakeOver())) return this.#look()
      await this.#step()
      this.#standsBy = undefined
      this.#failure = undefined
      await this.#prune()
      await this.#lookForOthers()
    } catch (error) {
      await this.#failed(error)
    }
  }

  async #step(): Promise<void> {
    if (!replicationTracing.hasSubscribers) return this.#noted(await this.#chain.step())
    await tracePromise(replicationTracing, { trigger: 'ship' }, async (event) => {
      const step = await this.#chain.step()
      this.#noted(step)
      Object.assign(event, step.shipped, { behindSeconds: this.health().behindSeconds })
    })
  }

  #waitsForBase: Date | undefined
  /** A moment counts when it can be restored: in a new generation, when its first base is there. */
  #noted({ upTo }: Step): void {
    this.#waitsForBase = upTo
    this.#noteBased()
  }

  #noteBased(): void {
    if (this.#chain.hasBase) this.#upTo = this.#waitsForBase ?? this.#upTo
  }

  async #failed(error: unknown): Promise<void> {
    this.#chain.leaveAfter(error)
    if (error instanceof Outrun) {
      this.#failure = undefined
      this.#standsBy = { last: undefined, since: performance.now() }
      return this.#look().catch(() => {})
    }
    this.#failure = error
    if (!isFenced(error) || this.#isFenced || this.#options.onFenced !== 'refuse') return
    try {
      await this.#chain.refuseWrites()
      this.#isFenced = true
    } catch (refusal) {
      this.#failure = refusal
    }
  }

  /** Whether the other process has stopped: nothing arrives from it any more. */
  async #mayTakeOver(): Promise<boolean> {
    const standsBy = this.#standsBy
    const last = await lastHeaderOf(this.#options.place)
    const isSame = last?.generation === standsBy?.last?.generation && last?.segment === standsBy?.last?.segment
    if (standsBy === undefined || !isSame) {
      this.#standsBy = { last, since: performance.now() }
      return false
    }
    const { takeOverMs = TAKE_OVER_MS, everyMs } = this.#options
    return performance.now() - standsBy.since > Math.max(takeOverMs, 3 * everyMs)
  }

  /** Compares what the other process has shipped with this database: it may ship a copy, which has other changes. */
  async #look(): Promise<void> {
    const { place, source, now } = this.#options
    const at = now()
    const last = await lastHeaderOf(place)
    if (last === undefined) return
    const { changeLog } = await source()
    const page = await changeLog.read({ log: last.log, position: last.to }, 1)
    this.#failure = page === undefined ? ofCopy(place) : undefined
    if (page !== undefined) this.#upTo = page.changes.length === 0 ? at : new Date(last.at)
  }

  async #lookForOthers(): Promise<void> {
    if (performance.now() - this.#lookedAt < LOOK_EVERY_MS) return
    const source = await this.#options.source()
    this.#leftBehind = await source.withState((state) => state.leftBehind())
    this.#lookedAt = performance.now()
  }

  async #prune(): Promise<void> {
    if (performance.now() - this.#prunedAt < PRUNE_EVERY_MS || !this.#chain.hasBase) return
    this.#prunedAt = performance.now()
    const { place, keep, now } = this.#options
    await prune(place, keep, now())
  }
}
