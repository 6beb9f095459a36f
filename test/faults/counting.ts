/** A load whose outcome can be judged: each acknowledged call counts once. */
import { type Meshstore, StorageError } from '../../src/index.ts'
import { node } from '../support/samples.ts'

export interface Counting {
  readonly acknowledged: () => number
  /** Returns the codes of the calls that failed. */
  stop(): Promise<string[]>
}

/** As many counters. */
export const LANES = 4

/** Increments counters, in single calls and in transactions, until it is stopped. */
export function counting(store: Meshstore): Counting {
  let acknowledged = 0
  let goesOn = true
  const codes: string[] = []
  const lane = async (at: number): Promise<void> => {
    const id = `counted-${at}`
    await store.nodes.create(node(id))
    while (goesOn) {
      const call =
        at % 2 === 0
          ? store.nodes.recordRoutes(id)
          : store.transaction((tx) => tx.nodes.recordRoutes(id), { timeoutMs: 60_000 })
      await call.then(
        () => acknowledged++,
        (error) => codes.push(error instanceof StorageError ? error.code : String(error)),
      )
    }
  }
  const running = Array.from({ length: LANES }, (_, at) => lane(at))
  return {
    acknowledged: () => acknowledged,
    stop: async () => {
      goesOn = false
      await Promise.all(running)
      return codes
    },
  }
}

export const countedIn = async (store: Meshstore): Promise<number> =>
  (await store.nodes.list()).reduce((sum, { routesDiscovered }) => sum + routesDiscovered, 0)
