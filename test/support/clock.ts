/** A clock that stands still until it is told otherwise; `now` is what `StorageOptions.now` takes. */
export class Clock {
  #milliseconds: number

  constructor(start = '2026-01-02T03:04:05.678Z') {
    this.#milliseconds = Date.parse(start)
  }

  readonly now = (): Date => new Date(this.#milliseconds)

  /** The time that is so many milliseconds away; the clock stays. */
  after(milliseconds: number): Date {
    return new Date(this.#milliseconds + milliseconds)
  }

  /** Goes on, or back. */
  advance(milliseconds: number): void {
    this.#milliseconds += milliseconds
  }
}
