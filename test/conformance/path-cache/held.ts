import type { PathBundle, PathKey } from '../../../src/index.ts'

/** A computation that ends when it is told to. */
export function held<T = PathBundle>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const begun = Promise.withResolvers<AbortSignal>()
  let calls = 0
  const compute = (_: PathKey, { signal }: { signal: AbortSignal }): Promise<T> => {
    calls++
    begun.resolve(signal)
    return promise
  }
  return { compute, resolve, reject, begun: begun.promise, calls: () => calls }
}

export const unexpected = (): never => {
  throw new Error('There is nothing to compute.')
}
