/**
 * Admission to a pool's connections: one slot for each. New work waits here without a time limit. In the driver's pool it would wait
 * against the limit for connecting.
 */
import { clearTimeout, setTimeout } from '../../event-loop.ts'

/** `isCallers`: a caller's transaction. `isWriter`: a writing transaction of many statements. */
interface Kind {
  readonly isCallers: boolean
  readonly isWriter: boolean
}

const KINDS = {
  /** Statements of the library's own, which end by themselves. */
  call: { isCallers: false, isWriter: false },
  bulk: { isCallers: false, isWriter: true },
  'reading transaction': { isCallers: true, isWriter: false },
  'writing transaction': { isCallers: true, isWriter: true },
} satisfies Readonly<Record<string, Kind>>

export type SlotKind = keyof typeof KINDS
const NAMES = Object.keys(KINDS) as SlotKind[]

interface Waiting {
  /** Work with a smaller number goes first. */
  readonly order: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * - Callers' transactions leave one slot free: a callback may wait for other calls, which need a connection.
 * - Writing transactions of many statements: after each conflict half as many may run at once, or they would starve each other. The
 *   limit grows by one after as many successes as it allows (additive increase, multiplicative decrease, as in TCP).
 */
export class Slots {
  readonly #max: number
  readonly #mostCallers: number
  #mostWriters: number
  #taken = 0
  #callers = 0
  #writers = 0
  #asked = 0
  readonly #waiting: Readonly<Record<SlotKind, Waiting[]>> = {
    call: [],
    bulk: [],
    'reading transaction': [],
    'writing transaction': [],
  }

  constructor(max: number) {
    this.#max = max
    this.#mostCallers = Math.max(1, max - 1)
    this.#mostWriters = max
  }

  /** `again`: the work has waited before, for a failed attempt, and goes ahead of all other work. */
  async while<T>(kind: SlotKind, work: () => Promise<T>, again = false): Promise<T> {
    await this.take(kind, again)
    try {
      return await work()
    } finally {
      this.free(kind)
    }
  }

  /** Resolves with false if the work got no slot within so many milliseconds. `undefined`: no limit. */
  async take(kind: SlotKind, again = false, withinMs?: number): Promise<boolean> {
    if (this.#admits(kind)) {
      this.#count(kind, 1)
      return true
    }
    const queue = this.#waiting[kind]
    const at = ++this.#asked
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<boolean>((resolve, reject) => {
        const waiting = { order: again ? -at : at, resolve: () => resolve(true), reject }
        if (again) queue.unshift(waiting)
        else queue.push(waiting)
        if (withinMs === undefined) return
        const giveUp = (): void => {
          queue.splice(queue.indexOf(waiting), 1)
          resolve(false)
        }
        timer = setTimeout(giveUp, Math.max(0, withinMs))
      })
    } finally {
      clearTimeout(timer)
    }
  }

  free(kind: SlotKind): void {
    this.#count(kind, -1)
    this.#admit()
  }

  /** Notes how an attempt has ended. */
  note(kind: SlotKind, outcome: 'success' | 'conflict'): void {
    if (!KINDS[kind].isWriter) return
    if (outcome === 'success') this.#mostWriters = Math.min(this.#max, this.#mostWriters + 1 / this.#mostWriters)
    else this.#mostWriters = Math.max(1, this.#mostWriters / 2)
  }

  /** Refuses all waiting work when one caller finds that the server is away. Nothing of this work was sent. */
  refuseWaiting(error: unknown): void {
    for (const waiting of Object.values(this.#waiting)) for (const { reject } of waiting.splice(0)) reject(error)
  }

  #admits(kind: SlotKind): boolean {
    const { isCallers, isWriter } = KINDS[kind]
    if (this.#taken >= this.#max || (isCallers && this.#callers >= this.#mostCallers)) return false
    return !isWriter || this.#writers < Math.floor(this.#mostWriters)
  }

  #count(kind: SlotKind, by: 1 | -1): void {
    this.#taken += by
    if (KINDS[kind].isCallers) this.#callers += by
    if (KINDS[kind].isWriter) this.#writers += by
  }

  /** Passes free slots to waiting work: later work cannot take them in between. */
  #admit(): void {
    for (let kind = this.#next(); kind !== undefined; kind = this.#next()) {
      this.#count(kind, 1)
      this.#waiting[kind].shift()?.resolve()
    }
  }

  /** The kind of the first waiting work that may run. */
  #next(): SlotKind | undefined {
    let first: { readonly kind: SlotKind; readonly order: number } | undefined
    for (const kind of NAMES) {
      const order = this.#waiting[kind][0]?.order
      if (order !== undefined && this.#admits(kind) && !(first && first.order < order)) first = { kind, order }
    }
    return first?.kind
  }
}
