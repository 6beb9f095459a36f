/**
 * As many at once as the pool has connections; the others wait here, for as long as it takes. In the pool they would
 * wait against the time limit that is meant for connecting.
 */
export class Slots {
  #free: number
  readonly #waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = []

  constructor(count: number) {
    this.#free = count
  }

  get waiting(): number {
    return this.#waiting.length
  }

  async while<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }))
    try {
      return await work()
    } finally {
      // The slot passes from hand to hand: nobody who comes later gets in between.
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next.resolve()
    }
  }

  /** Nobody need wait for what one has found out for all: the server is away. Nothing of theirs has been sent. */
  refuseWaiting(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
