/** A store that makes a mistake with what its calls come to: what judges the others must report it. */
import type { Meshstore } from '../../src/index.ts'

/** How each call of the store and of its repositories is carried out. */
export type Mistake = (call: () => Promise<unknown>) => Promise<unknown>

const REPOSITORIES: ReadonlySet<PropertyKey> = new Set(['nodes', 'policies', 'pathCache'])
/** They return no promise. */
const ITERATORS: ReadonlySet<PropertyKey> = new Set(['iterate', 'changes', 'watch'])

/** Transactions are carried out as a whole: inside of them all is as ever. */
export const mistaken = (store: Meshstore, mistake: Mistake): Meshstore => wrapped(store, mistake)

function wrapped<T extends object>(on: T, mistake: Mistake): T {
  return new Proxy(on, {
    get: (_, name) => {
      const value: unknown = Reflect.get(on, name, on)
      if (REPOSITORIES.has(name)) return wrapped(value as object, mistake)
      if (typeof value !== 'function') return value
      if (typeof name === 'symbol' || ITERATORS.has(name)) return value.bind(on)
      return (...args: unknown[]) => mistake(async () => Reflect.apply(value, on, args))
    },
  })
}
