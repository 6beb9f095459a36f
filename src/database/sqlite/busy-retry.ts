import { performance, sleep } from '../../event-loop.ts'
import { traceRetry } from '../../tracing.ts'
import { jittered, nextPause } from '../backoff.ts'
import { isBusy, translated } from './errors.ts'

/** Waits for other processes' locks without blocking the event loop. */
export class BusyRetry {
  readonly #busyTimeoutMs: number

  constructor(busyTimeoutMs: number) {
    this.#busyTimeoutMs = busyTimeoutMs
  }

  /** Repeats `attempt` while it fails with BUSY, until the timeout. Throws StorageErrors. */
  async run<T>(attempt: () => T | Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#busyTimeoutMs
    for (let pause = 1; ; pause = nextPause(pause)) {
      try {
        return await attempt()
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw translated(error)
        traceRetry('statement', 'busy')
      }
      await sleep(jittered(pause))
    }
  }
}
