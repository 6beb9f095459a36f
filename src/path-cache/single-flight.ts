import { AsyncLocalStorage } from 'node:async_hooks'
import { misuse } from '../errors.ts'

/** A computation, and the computations that it waits for at this moment. */
interface Computation {
  readonly waits: Set<{ readonly for: Computation }>
}

interface Flight<T> extends Computation {
  readonly result: Promise<T>
  readonly controller: AbortController
  spoiled: boolean
  waiting: number
}

type Compute<T> = (signal: AbortSignal, isSpoiled: () => boolean) => Promise<T>

/**
 * At most one computation runs for each key. A caller stops waiting when its own signal aborts. When the last caller stops,
 * the computation's signal aborts, and the next call begins a new computation.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()
  /** The computation that the current call is made from. */
  readonly #inside = new AsyncLocalStorage<Computation>()

  has(key: string): boolean {
    return this.#flights.has(key)
  }

  /** Marks the key's computation as outdated: its current callers get the result, which is not stored. */
  spoil(key: string): void {
    const flight = this.#flights.get(key)
    if (flight !== undefined) flight.spoiled = true
  }

  spoilAll(): void {
    for (const flight of this.#flights.values()) flight.spoiled = true
  }

  run(key: string, signal: AbortSignal | undefined, compute: Compute<T>): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    const asking = this.#inside.getStore()
    const found = this.#flights.get(key)
    if (found !== undefined && asking !== undefined && waitsFor(found, asking)) {
      return Promise.reject(
        misuse(
          'A computation asked for the paths that it computes, and would wait for itself. Compute them without the cache.',
        ),
      )
    }
    const flight = found ?? this.#begin(key, compute)
    flight.waiting++
    const answer = signal === undefined ? flight.result : this.#abortable(key, flight, signal)
    if (asking !== undefined) note(asking, flight, answer)
    return answer
  }

  #begin(key: string, compute: Compute<T>): Flight<T> {
    const controller = new AbortController()
    const land = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    }
    const waits: Computation['waits'] = new Set()
    const result = this.#inside.run({ waits }, () => compute(controller.signal, () => flight.spoiled)).finally(land)
    // The callers that still wait get the error. When all have gone, there is nobody to handle it.
    result.catch(() => {})
    const flight: Flight<T> = { result, controller, spoiled: false, waiting: 0, waits }
    this.#flights.set(key, flight)
    return flight
  }

  #abortable(key: string, flight: Flight<T>, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        reject(signal.reason)
        flight.waiting--
        if (flight.waiting > 0) return
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
        flight.controller.abort(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      flight.result.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
    })
  }
}

/** Whether a computation waits for another, directly or through others: detects a deadlock of two computations. */
function waitsFor(computation: Computation, asking: Computation): boolean {
  if (computation.waits === asking.waits) return true
  for (const wait of computation.waits) if (waitsFor(wait.for, asking)) return true
  return false
}

function note(asking: Computation, flight: Computation, answer: Promise<unknown>): void {
  const wait = { for: flight }
  asking.waits.add(wait)
  const ended = (): unknown => asking.waits.delete(wait)
  answer.then(ended, ended)
}
