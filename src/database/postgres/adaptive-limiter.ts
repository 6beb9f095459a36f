interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * How many run at once; the others wait here, for as long as it takes. In the pool they would wait against the time limit that is
 * meant for connecting.
 *
 * Work that conflicts with other work runs less at once: half as much after each conflict, and one more after as many
 * successes as there are (additive increase, multiplicative decrease, as TCP finds its rate).
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

  /** `again`: it has waited before, for an attempt that failed, and goes ahead of all the others. */
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

  /** A slot passes from hand to hand: nobody who comes later gets in between. */
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

  /** Nobody need wait for what one has found out for all: the server is away. Nothing of theirs has been sent. */
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
