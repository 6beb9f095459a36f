/** Stops a command in an orderly way on Ctrl+C and SIGTERM. */

/** 128 plus the signal's number, as in shells. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const
type Signal = keyof typeof EXIT_CODES
const SIGNALS = Object.keys(EXIT_CODES) as Signal[]

/** A signal stopped the command; `message` says what this means for the data. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly code = 'INTERRUPTED'
  readonly signal: Signal

  constructor(signal: Signal, message: string) {
    super(message)
    this.signal = signal
  }

  get exitCode(): number {
    return EXIT_CODES[this.signal]
  }
}

/** The first signal aborts the work, which rejects with Interrupted. The second one ends the process at once. */
export async function interruptible<T>(message: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const stop = (signal: Signal): void => {
    if (controller.signal.aborted) process.exit(EXIT_CODES[signal])
    controller.abort(new Interrupted(signal, message))
  }
  for (const signal of SIGNALS) process.on(signal, stop)
  try {
    return await work(controller.signal)
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop)
  }
}

/**
 * Calls `stop` when the first signal comes, and keeps the process running until then, or until it is disposed of. The second signal
 * ends the process at once.
 */
export function onSignal(stop: () => void): Disposable {
  // A listener alone keeps no process running.
  const alive = setInterval(() => {}, 60_000)
  const end = (): void => {
    for (const each of SIGNALS) process.off(each, caught)
    clearInterval(alive)
  }
  const caught = (signal: Signal): void => {
    end()
    for (const each of SIGNALS) process.once(each, () => process.exit(EXIT_CODES[signal]))
    stop()
  }
  for (const signal of SIGNALS) process.on(signal, caught)
  return { [Symbol.dispose]: end }
}

/** Resolves when the first signal comes. */
export const untilSignal = (): Promise<void> => new Promise((resolve) => void onSignal(resolve))

/** Runs `tidy` before a signal takes its usual effect. Returns a function that removes the handler. */
export function beforeSignal(tidy: () => void): () => void {
  const caught = (signal: Signal): void => {
    off()
    tidy()
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
  }
  const off = (): void => {
    for (const signal of SIGNALS) process.off(signal, caught)
  }
  for (const signal of SIGNALS) process.on(signal, caught)
  return off
}
