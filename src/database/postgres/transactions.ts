/** Transactions of many statements, which run again as long as others are in their way. */
import { performance, sleep } from '../../event-loop.ts'
import { type TransactionEvent, traceRetry } from '../../tracing.ts'
import { jittered, nextPause } from '../backoff.ts'
import type { Naming } from '../executor.ts'
import { timeoutError } from '../transaction-time.ts'
import { type Attempted, type AttemptLimits, attempt, type Environment, mayRunOn, type Work } from './attempt.ts'
import { overtakenError, reasonOf } from './errors.ts'
import { Failover } from './failover.ts'
import type { Place } from './keyed-queue.ts'
import type { SlotKind } from './slots.ts'
import { type Touched, touchedByCall, touchedByCalls, touchedByRows } from './touched.ts'

export interface TransactionLimits extends AttemptLimits {
  readonly attempts: number
  /** How long the transaction is retried, in milliseconds. */
  readonly retryMs: number
}

/**
 * Runs `work` again from its beginning after a conflict. Time counts from the first BEGIN. A caller's writing transaction takes its
 * place in the order of calls, and its callback starts at once.
 */
export async function transaction<T>(
  on: Environment,
  kind: Exclude<SlotKind, 'call'>,
  work: Work<T>,
  limits: TransactionLimits,
  event: TransactionEvent,
): Promise<T> {
  const place = kind === 'writing transaction' ? on.queue.enterTransaction() : undefined
  const failover = new Failover(on.options.failoverMs)
  let begun: number | undefined
  const passedMs = (): number => performance.now() - (begun ?? performance.now())
  try {
    for (let pause = 1; ; pause = nextPause(pause)) {
      const turn = new Turn(on, kind, place, event.attempts++ > 0)
      const comes = (): Promise<void> => turn.comes(limits.timeoutMs, passedMs)
      if (place === undefined) await comes()
      const mayBegin = place && comes
      const opened = (): void => {
        begun ??= performance.now()
      }
      let attempted: Attempted<T> | undefined
      try {
        attempted = await attempt(on, work, limits, {
          isUnit: kind === 'bulk',
          mayBegin,
          opened,
          passedMs,
          naming: turn.naming,
        })
      } finally {
        turn.end(attempted)
      }
      if ('result' in attempted) return attempted.result
      if (event.attempts >= limits.attempts || !mayRunOn(attempted, limits, { passedMs: passedMs(), failover }))
        throw attempted.inTheWay
      traceRetry('transaction', reasonOf(attempted.inTheWay))
      await Promise.all([sleep(jittered(pause)), turn.earlierEnded()])
    }
  } finally {
    if (place !== undefined) on.queue.finish(place)
  }
}

/**
 * The waits of one attempt. Before BEGIN it waits for the earlier calls that concern the rows it has named. After BEGIN it cannot
 * wait, since its snapshot is older than their end, and they may need its locks: it must begin again.
 */
class Turn {
  readonly #on: Environment
  readonly #kind: SlotKind
  readonly #place: Place | undefined
  readonly #again: boolean
  /** `undefined`: the attempt has no place, and its rows need no names. */
  readonly naming: Naming | undefined
  readonly #earlier: Promise<void>[] = []
  /** The wait of the last statement, which includes the waits of earlier statements. */
  #last: Promise<void> | undefined
  #hasSlot = false
  #hasEnded = false

  constructor(on: Environment, kind: SlotKind, place: Place | undefined, again: boolean) {
    this.#on = on
    this.#kind = kind
    this.#place = place
    this.#again = again
    this.naming = place && {
      call: (call, reads) => this.#name(place, touchedByCall(on.compiler, call), reads),
      calls: (calls) => this.#name(place, touchedByCalls(on.compiler, calls)),
      rows: (rows) => this.#name(place, touchedByRows(rows)),
      earlier: () => this.#last,
    }
  }

  #name(place: Place, touched: Touched, reads = false): Promise<void> | undefined {
    // A callback may run on after its time limit. Nothing would end a place that it takes then.
    if (this.#hasEnded) return undefined
    const ended = this.#on.queue.name(place, touched, reads)
    if (ended === undefined) return this.#last
    this.#earlier.push(ended)
    const mine = this.#hasSlot ? Promise.reject(overtakenError()) : Promise.all([this.#last, ended]).then(() => {})
    mine.catch(() => {})
    this.#last = mine
    return mine
  }

  /**
   * Resolves when the attempt waits for no earlier call, and has a slot. With a single connection it waits for all earlier calls: its
   * callback may wait for one of them. Rejects with TIMEOUT if the time of a transaction that has begun passes meanwhile: other calls
   * may hold the slots for as long as they wait for a server.
   */
  async comes(timeoutMs: number | undefined, passedMs: () => number): Promise<void> {
    const { queue, options, connections } = this.#on
    if (options.max === 1 && this.#place !== undefined) await queue.earlierEnded(this.#place)
    for (;;) {
      await this.earlierEnded()
      const known = this.#earlier.length
      const passed = passedMs()
      const withinMs = passed > 0 && timeoutMs !== undefined ? timeoutMs - passed : undefined
      if (!(await connections.slots.take(this.#kind, this.#again, withinMs))) throw timeoutError(timeoutMs)
      if (known === this.#earlier.length) break
      // The attempt now waits for other calls, which need the slot.
      connections.slots.free(this.#kind)
    }
    this.#hasSlot = true
  }

  async earlierEnded(): Promise<void> {
    for (let known = -1; known !== this.#earlier.length; ) {
      known = this.#earlier.length
      await Promise.all(this.#earlier)
    }
  }

  end(attempted: Attempted<unknown> | undefined): void {
    const { slots } = this.#on.connections
    if (attempted !== undefined && 'result' in attempted) slots.note(this.#kind, 'success')
    else if (attempted?.isLost === false) slots.note(this.#kind, 'conflict')
    if (this.#hasSlot) slots.free(this.#kind)
    this.#hasSlot = false
    this.#hasEnded = true
  }
}
