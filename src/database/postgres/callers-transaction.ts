/** Runs a caller's writing transaction: its place in the order of calls, and its attempts. */
import { performance, sleep } from '../../event-loop.ts'
import { type TransactionEvent, traceRetry } from '../../tracing.ts'
import { jittered, nextPause } from '../backoff.ts'
import type { Naming } from '../executor.ts'
import type { AdaptiveLimiter } from './adaptive-limiter.ts'
import { type AttemptLimits, attempt, type Environment, mayRunOn, type Work } from './attempt.ts'
import { overtakenError, reasonOf } from './errors.ts'
import { Failover } from './failover.ts'
import type { KeyedQueue, Place } from './keyed-queue.ts'
import { type Touched, touchedByCall, touchedByCalls, touchedByRows } from './touched.ts'

export interface TransactionLimits extends AttemptLimits {
  readonly attempts: number
  /** How long the transaction is retried, in milliseconds. */
  readonly retryMs: number
}

/**
 * Retries `work` from its beginning after a conflict. The transaction keeps its slot during all attempts, since other calls may wait
 * for its end. Time counts from the first BEGIN.
 */
export async function callersTransaction<T>(
  on: Environment & { readonly queue: KeyedQueue },
  work: Work<T>,
  limits: TransactionLimits,
  event: TransactionEvent,
): Promise<T> {
  const { connections, options, queue } = on
  const place = queue.enterTransaction()
  const failover = new Failover(options.failoverMs)
  const slot = holdSlot(on, place)
  let begun: number | undefined
  const passedMs = (): number => performance.now() - (begun ?? performance.now())
  try {
    for (let pause = 1; ; pause = nextPause(pause)) {
      const turn = new Turn(on, place, { isAgain: event.attempts++ > 0, slot: slot.held })
      const mayBegin = (): Promise<void> => turn.comes()
      const opened = (): void => {
        begun ??= performance.now()
      }
      const { naming } = turn
      const attempted = await attempt(on, work, limits, { mayBegin, opened, passedMs, naming }).finally(() =>
        turn.end(),
      )
      if ('result' in attempted) {
        connections.writers.succeeded()
        return attempted.result
      }
      if (!attempted.isLost) connections.writers.conflicted()
      if (event.attempts >= limits.attempts || !mayRunOn(attempted, limits, { passedMs: passedMs(), failover }))
        throw attempted.inTheWay
      traceRetry('transaction', reasonOf(attempted.inTheWay))
      await Promise.all([sleep(jittered(pause)), turn.earlierEnded()])
    }
  } finally {
    slot.free()
    queue.finish(place)
  }
}

/** With a single connection a transaction first waits for all earlier calls: its callback may wait for one of them. */
function holdSlot(
  { connections, options, queue }: Environment & { readonly queue: KeyedQueue },
  place: Place,
): { readonly held: Promise<void>; free(): void } {
  const held = Promise.withResolvers<void>()
  const freed = Promise.withResolvers<void>()
  const hold = async (): Promise<void> => {
    if (options.max === 1) await queue.earlierEnded(place)
    await connections.callers.while(() =>
      connections.slots.while(() => {
        held.resolve()
        return freed.promise
      }),
    )
  }
  hold().catch(held.reject)
  held.promise.catch(() => {})
  return { held: held.promise, free: () => freed.resolve() }
}

/**
 * The waits of one attempt. Before BEGIN it waits for the earlier calls that concern the rows it has named. After BEGIN it cannot
 * wait, since its snapshot is older than their end, and they may need its locks: it must begin again.
 */
class Turn {
  readonly #on: Environment & { readonly queue: KeyedQueue }
  readonly #place: Place
  readonly #writers: AdaptiveLimiter
  readonly #again: boolean
  readonly #slot: Promise<void>
  readonly #earlier: Promise<void>[] = []
  /** The wait of the last statement, which includes the waits of earlier statements. */
  #last: Promise<void> | undefined
  #isWriter = false
  #hasEnded = false

  constructor(
    on: Environment & { readonly queue: KeyedQueue },
    place: Place,
    { isAgain, slot }: { isAgain: boolean; slot: Promise<void> },
  ) {
    this.#on = on
    this.#place = place
    this.#writers = on.connections.writers
    this.#again = isAgain
    this.#slot = slot
  }

  readonly naming: Naming = {
    call: (call, reads) => this.#name(touchedByCall(this.#on.compiler, call), reads),
    calls: (calls) => this.#name(touchedByCalls(this.#on.compiler, calls)),
    rows: (rows) => this.#name(touchedByRows(rows)),
    earlier: () => this.#last,
  }

  #name(touched: Touched, reads = false): Promise<void> | undefined {
    // A callback may run on after its time limit. Nothing would end a place that it takes then.
    if (this.#hasEnded) return undefined
    const ended = this.#on.queue.name(this.#place, touched, reads)
    if (ended === undefined) return this.#last
    this.#earlier.push(ended)
    const mine = this.#isWriter ? Promise.reject(overtakenError()) : Promise.all([this.#last, ended]).then(() => {})
    mine.catch(() => {})
    this.#last = mine
    return mine
  }

  /** Resolves when the attempt has a slot, is one of the writers, and waits for no earlier call. */
  async comes(): Promise<void> {
    await this.#slot
    for (;;) {
      await this.earlierEnded()
      const known = this.#earlier.length
      await this.#writers.take(this.#again)
      if (known === this.#earlier.length) break
      // The attempt now waits for other calls, which may need to become writers.
      this.#writers.free()
    }
    this.#isWriter = true
  }

  async earlierEnded(): Promise<void> {
    for (let known = -1; known !== this.#earlier.length; ) {
      known = this.#earlier.length
      await Promise.all(this.#earlier)
    }
  }

  end(): void {
    if (this.#isWriter) this.#writers.free()
    this.#isWriter = false
    this.#hasEnded = true
  }
}
