/**
 * Captured when the library is loaded. An application's tests may fake these globals later, and a write that waits for a
 * faked timer would hang.
 */
export const { setImmediate, setTimeout, clearTimeout } = globalThis
const { hrtime } = process

/** A monotonic clock in milliseconds. The global of this name would load Node's perf_hooks, a millisecond of each start. */
export const performance = {
  now: (): number => {
    const [seconds, nanoseconds] = hrtime()
    return seconds * 1_000 + nanoseconds / 1_000_000
  },
}

/** The machine's clock. A store's own clock may be a test's or a replay's: it says nothing about other processes. */
export const machineTime = (): Date => new Date()

/** Yields to the event loop: timers, sockets and other callers run first. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Longest slice of work between two yields. */
const SLICE_MS = 10

/** Use it between two pieces of work: `if (yielding.isDue()) await yielding.now()`. By time: rows vary in size. */
export class EventLoopYield {
  readonly #sliceMs: number
  #last = performance.now()

  constructor(sliceMs = SLICE_MS) {
    this.#sliceMs = sliceMs
  }

  isDue(): boolean {
    return performance.now() - this.#last >= this.#sliceMs
  }

  async now(): Promise<void> {
    await nextTurn()
    this.#last = performance.now()
  }
}

/** The longest that decoding keeps the event loop, but for a single value. */
export const DECODING_MS = 4

/** `map`, which lets the event loop run where it takes long. */
export async function mapYielding<T, U>(values: readonly T[], map: (value: T) => U): Promise<U[]> {
  const yielding = new EventLoopYield(DECODING_MS)
  const mapped: U[] = []
  for (const value of values) {
    if (yielding.isDue()) await yielding.now()
    mapped.push(map(value))
  }
  return mapped
}
