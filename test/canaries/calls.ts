/** Looks at every error of every repository, transaction and store, whoever opened it. The caller gets what it would get. */
import { type Meshstore, openStorage, StorageError, type Transaction } from '../../src/index.ts'
import { CachedPaths, TransactionCachedPaths } from '../../src/path-cache/cached-paths.ts'
import { StorePathCache } from '../../src/path-cache/store-path-cache.ts'
import { SqlNodeRepository } from '../../src/repositories/node-repository.ts'
import { SqlPolicyRepository } from '../../src/repositories/policy-repository.ts'
import type { Canary } from './canary.ts'

type Method = (this: object, ...args: unknown[]) => unknown
type Work = (tx: Transaction) => Promise<unknown>

/** Their callers' own errors reach the caller as they are. */
const WITH_CALLBACKS: ReadonlySet<string> = new Set(['pathCache.getOrCompute', 'store.transaction', 'tx.transaction'])

export async function lookAtCalls(canary: Canary): Promise<void> {
  for (const [name, { prototype }] of [
    ['nodes', SqlNodeRepository],
    ['policies', SqlPolicyRepository],
    ['pathCache', CachedPaths],
    ['pathCache', StorePathCache],
    ['pathCache', TransactionCachedPaths],
  ] as const)
    for (const method of methodsOf(prototype)) replace(canary, prototype, `${name}.${method}`)

  // The class of stores is exported by nobody.
  const store = await openStorage('sqlite::memory:')
  const prototype: object = Object.getPrototypeOf(store)
  await store.close()
  for (const method of ['stats', 'health', 'backup'] as const) replace(canary, prototype, `store.${method}`)
  replaceTransaction(canary, prototype as Meshstore, 'store')
  replaceClose(canary, prototype as Meshstore)
}

const methodsOf = (prototype: object): string[] =>
  Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor')

function replace(canary: Canary, owner: object, name: string): void {
  const key = name.split('.')[1] ?? ''
  const method: Method = Reflect.get(owner, key)
  const looking: Method = function (...args) {
    canary.give(name, args)
    return lookedAt(canary, name, () => method.apply(this, args))
  }
  Object.defineProperty(owner, key, { value: looking, writable: true, configurable: true })
}

function lookedAt<T>(canary: Canary, name: string, call: () => T): T {
  const look = (error: unknown): void => {
    if (!WITH_CALLBACKS.has(name) || error instanceof StorageError) canary.error(`an error of ${name}()`, error)
  }
  try {
    const returned = call()
    // The promise itself is returned: nothing comes a turn later than without this.
    if (returned instanceof Promise) returned.then(undefined, look)
    else if (isGenerator(returned)) lookAtSteps(canary, name, returned)
    return returned
  } catch (error) {
    look(error)
    throw error
  }
}

const isGenerator = (value: unknown): value is AsyncGenerator =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value && 'next' in value

function lookAtSteps(canary: Canary, name: string, generator: AsyncGenerator): void {
  const next = generator.next.bind(generator)
  generator.next = (...args) => lookedAt(canary, name, () => next(...args))
}

/** Its own errors, those of its savepoints, and what the object in its hands shows. */
function replaceTransaction(canary: Canary, owner: Pick<Meshstore, 'transaction'>, of: 'store' | 'tx'): void {
  const transaction: Method = Reflect.get<object, string>(owner, 'transaction')
  const looking: Method = function (work, ...rest) {
    const watched = typeof work === 'function' ? watching(canary, work as Work) : work
    return lookedAt(canary, `${of}.transaction`, () => transaction.call(this, watched, ...rest))
  }
  Object.defineProperty(owner, 'transaction', { value: looking, writable: true, configurable: true, enumerable: true })
}

const watching =
  (canary: Canary, work: Work): Work =>
  async (tx) => {
    replaceTransaction(canary, tx, 'tx')
    try {
      return await work(tx)
    } finally {
      canary.look('a transaction', tx)
    }
  }

function replaceClose(canary: Canary, prototype: Meshstore): void {
  const { close } = prototype
  const looking = function (this: Meshstore): Promise<void> {
    canary.look('a store', this)
    return lookedAt(canary, 'store.close', () => close.call(this))
  }
  Object.defineProperty(prototype, 'close', { value: looking, writable: true, configurable: true })
}
