/** The places where a suite runs: on each backend plainly, and again inside of a transaction. */
import { describe, expect } from 'vitest'
import type { Meshstore, Repositories, Transaction } from '../../src/index.ts'
import {
  type Backend,
  backends,
  type LastingBackend,
  lastingBackends,
  type OpenOptions,
  type OpenStore,
} from './backends.ts'
import { Clock } from './clock.ts'
import { dump } from './content.ts'

/** JavaScript can call the methods that a transaction's type does not have: they are MISUSE. */
export type Untyped = Pick<Meshstore, keyof Repositories>
export const untyped = (on: Repositories): Untyped => on as Untyped

/** The store or transaction of a case, which cannot tell them apart. */
export interface Stage extends Untyped {
  readonly clock: Clock
  /** A unit of its own: a transaction of the store, or a savepoint of the transaction. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

export interface StageOptions {
  readonly options?: OpenOptions
  /** Prepares the database before the case, and outside of the transaction. */
  readonly before?: (opened: OpenStore) => Promise<unknown>
  /** Looks at the database after the case, when a transaction has been committed. */
  readonly after?: (opened: OpenStore) => Promise<unknown>
  /** There are rows that nobody can read. */
  readonly unreadable?: boolean
}

export interface Setting {
  readonly backend: Backend
  readonly inTransaction: boolean
  /** A fresh, empty store, and the case on it. */
  run(work: (stage: Stage) => Promise<unknown>, options?: StageOptions): Promise<void>
}

/** Long enough for every case: none is decided by it. */
export const LONG = { timeoutMs: 60_000 }

export function settingOf(backend: Backend, inTransaction: boolean): Setting {
  return {
    backend,
    inTransaction,
    run: async (work, { options = {}, before, after, unreadable = false } = {}) => {
      const clock = new Clock()
      await using opened = await backend.open({ now: clock.now, ...options })
      const { store } = opened
      await before?.(opened)
      if (inTransaction) {
        const inside = await store.transaction(async (tx) => {
          const { nodes, policies, pathCache } = untyped(tx)
          await work({ nodes, policies, pathCache, clock, transaction: (nested) => tx.transaction(nested) })
          return unreadable ? undefined : dump(tx)
        }, LONG)
        // The commit made what the transaction saw of itself.
        if (inside !== undefined) expect(await dump(store)).toEqual(inside)
      } else {
        const { nodes, policies, pathCache } = store
        await work({ nodes, policies, pathCache, clock, transaction: (nested) => store.transaction(nested, LONG) })
      }
      await after?.(opened)
    },
  }
}

/** Registers the suite for every backend, plainly and inside of a transaction. */
export function eachSetting(title: string, suite: (setting: Setting) => void): void {
  for (const backend of backends) {
    describe(`${title}, ${backend.name}`, () => suite(settingOf(backend, false)))
    describe(`${title}, ${backend.name}, in a transaction`, () => suite(settingOf(backend, true)))
  }
}

/** Registers the suite for every backend. */
export function eachBackend(title: string, suite: (backend: Backend) => void): void {
  for (const backend of backends) describe(`${title}, ${backend.name}`, () => suite(backend))
}

/** Registers the suite where the data outlives the store. Not counted among what every backend runs. */
export function eachLastingBackend(title: string, suite: (backend: LastingBackend) => void): void {
  for (const backend of lastingBackends) describe(`${title} (${backend.name})`, () => suite(backend))
}
