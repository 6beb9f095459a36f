interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Limits how much work runs at once. Other work waits here without a time limit: in the pool it would wait against the limit for
 * connecting.
 *
 * The limit halves after each conflict, and grows by one after as many successes as the limit allows (additive increase,
 * multiplicative decrease, as in TCP).
 */
export class AdaptiveLimiter {
  readonly #most: number
  #limit: number
  #taken = 0
  readonly #waiting: Waiting[] = []

  constructor(most: number) {
    this.#most = most
    this.#limit = most
  }

  /** `again`: the work has waited before, for a failed attempt, and goes ahead of all other work. */
  async while<T>(work: () => Promise<T>, again = false): Promise<T> {
    await this.take(again)
    try {
      return await work()
    } finally {
      this.free()
    }
  }

  async take(again = false): Promise<void> {
    if (this.#taken < Math.floor(this.#limit)) this.#taken++
    else await this.#turn(again)
  }

  /** Passes the slot to the first waiting caller: later callers cannot take it in between. */
  free(): void {
    this.#taken--
    while (this.#taken < Math.floor(this.#limit)) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#taken++
      next.resolve()
    }
  }

  conflicted(): void {
    this.#limit = Math.max(1, this.#limit / 2)
  }

  succeeded(): void {
    this.#limit = Math.min(this.#most, this.#limit + 1 / this.#limit)
  }

  /** Refuses all waiting work when one caller finds that the server is away. Nothing of this work was sent. */
  refuseWaiting(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  #turn(again: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (again) this.#waiting.unshift({ resolve, reject })
      else this.#waiting.push({ resolve, reject })
    })
  }
}
