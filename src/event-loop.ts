/**
 * Taken when the library is loaded. An application's tests may fake these globals later, and a write that waited for a
 * faked one would hang.
 */
export const { performance, setImmediate, setTimeout } = globalThis

/** Lets timers, sockets and other callers have their turn. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

/** So long a slice of work may take before the event loop has its turn. */
const SLICE_MS = 10

/** Between two pieces of work: `if (yielding.isDue()) await yielding.now()`. By time, since rows are of any size. */
export class EventLoopYield {
  #last = performance.now()

  isDue(): boolean {
    return performance.now() - this.#last >= SLICE_MS
  }

  async now(): Promise<void> {
    await nextTurn()
    this.#last = performance.now()
  }
}
