import { AsyncLocalStorage } from 'node:async_hooks'
import { misuse } from '../errors.ts'

interface Flight<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  spoiled: boolean
  waiting: number
}

type Compute<T> = (signal: AbortSignal, isSpoiled: () => boolean) => Promise<T>

/**
 * One computation for each key, however many ask for it. Each waits as long as its own signal lets it; when the last one
 * has gone, the computation's signal aborts, and the next to ask begins a new one.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()
  /** The keys whose computations the present one is part of. */
  readonly #inside = new AsyncLocalStorage<readonly string[]>()

  has(key: string): boolean {
    return this.#flights.has(key)
  }

  /** What is being computed for the key is for those who wait, and for nobody after them. */
  spoil(key: string): void {
    const flight = this.#flights.get(key)
    if (flight !== undefined) flight.spoiled = true
  }

  spoilAll(): void {
    for (const flight of this.#flights.values()) flight.spoiled = true
  }

  run(key: string, signal: AbortSignal | undefined, compute: Compute<T>): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    const inside = this.#inside.getStore() ?? []
    if (inside.includes(key) && this.#flights.has(key)) {
      return Promise.reject(misuse('A computation asked for the paths that it is to find, and would wait for itself.'))
    }
    const flight = this.#flights.get(key) ?? this.#begin(key, compute)
    flight.waiting++
    return signal === undefined ? flight.result : this.#patiently(key, flight, signal)
  }

  #begin(key: string, compute: Compute<T>): Flight<T> {
    const controller = new AbortController()
    const land = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    }
    const inside = [...(this.#inside.getStore() ?? []), key]
    const result = this.#inside.run(inside, () => compute(controller.signal, () => flight.spoiled)).finally(land)
    // Whoever still waits gets the error; when all have gone, nobody does.
    result.catch(() => {})
    const flight: Flight<T> = { result, controller, spoiled: false, waiting: 0 }
    this.#flights.set(key, flight)
    return flight
  }

  #patiently(key: string, flight: Flight<T>, signal: AbortSignal): Promise<T> {
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
