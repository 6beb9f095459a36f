/** Counts the turns of the event loop, and remembers the longest one: `using turns = new Turns()`. */
export class Turns implements Disposable {
  count = 0
  longestMs = 0
  #last = performance.now()
  #next = setImmediate(() => this.#turn())

  #turn(): void {
    const now = performance.now()
    this.longestMs = Math.max(this.longestMs, now - this.#last)
    this.#last = now
    this.count++
    this.#next = setImmediate(() => this.#turn())
  }

  [Symbol.dispose](): void {
    clearImmediate(this.#next)
  }
}
