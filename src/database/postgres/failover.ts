import { performance } from '../../event-loop.ts'

/** How long a call goes on after it has lost the server. */
export class Failover {
  readonly #forMs: number
  #until: number | undefined

  /** In milliseconds. */
  constructor(forMs = 0) {
    this.#forMs = forMs
  }

  /** Time runs from the first loss. */
  goesOn(): boolean {
    if (this.#forMs === 0) return false
    this.#until ??= performance.now() + this.#forMs
    return performance.now() < this.#until
  }
}
