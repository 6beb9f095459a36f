/** So long a slice of work may take before the event loop has its turn. */
const SLICE_MS = 10

/** Between two pieces of work: `if (turns.due()) await turns.next()`. By time, since rows are of any size. */
export class Turns {
  #last = performance.now()

  due(): boolean {
    return performance.now() - this.#last >= SLICE_MS
  }

  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.#last = performance.now()
  }
}
