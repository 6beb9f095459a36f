/** An asynchronous method tells every failure by its promise: it never throws where it is called. */
import { expect, test } from 'vitest'
import type { Meshstore } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { pathKey } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'
import { calls } from './calls.ts'

/** Returns an iterator, which begins to work when it is read. */
const NOT_ASYNCHRONOUS = ['pathCache.watch']

const hostile = (): never => {
  throw new TypeError('a getter of the caller')
}
const WRONG: readonly unknown[] = [
  undefined,
  null,
  42,
  Number.NaN,
  'x\0',
  Symbol('s'),
  [null],
  new Date(Number.NaN),
  Object.defineProperty({}, 'nodeId', { enumerable: true, get: hostile }),
  new Proxy({}, { get: hostile, ownKeys: hostile, has: hostile, getPrototypeOf: hostile }),
]

/** Every public method of the repositories, found on their prototypes. */
function methodsOf(on: Pick<Meshstore, 'nodes' | 'policies' | 'pathCache'>): { name: string; call: Call }[] {
  return (['nodes', 'policies', 'pathCache'] as const).flatMap((repository) => {
    const names = new Set<string>()
    let prototype: object | null = Object.getPrototypeOf(on[repository])
    for (; prototype !== null && prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype))
      for (const name of Object.getOwnPropertyNames(prototype)) names.add(name)
    names.delete('constructor')
    return [...names].map((name) => ({
      name: `${repository}.${name}`,
      call: (...args: unknown[]): unknown => Reflect.apply(Reflect.get(on[repository], name), on[repository], args),
    }))
  })
}
type Call = (...args: unknown[]) => unknown

/** Notes the outcome of the call; rethrows what the call throws at once. */
async function outcome(name: string, call: Call, args: readonly unknown[]): Promise<void> {
  let result: unknown
  try {
    result = call(...args)
  } catch (error) {
    throw new Error(`${name} threw instead of rejecting`, { cause: error })
  }
  const first =
    Object(result)[Symbol.asyncIterator] === undefined ? result : Reflect.apply(Object(result).next, result, [])
  expect(first, name).toBeInstanceOf(Promise)
  await Promise.allSettled([first])
}

eachBackend('rejections', (backend) => {
  test('wrong arguments', async () => {
    await using opened = await backend.open()
    const { store } = opened
    let asked = 0
    const everything = async (on: Parameters<typeof methodsOf>[0]): Promise<void> => {
      for (const { name, call } of methodsOf(on)) {
        if (NOT_ASYNCHRONOUS.includes(name)) continue
        for (const value of WRONG) {
          asked++
          await outcome(name, call, [value, value, value])
          await outcome(name, call, name.startsWith('pathCache') ? [pathKey('a', 'b'), value] : ['a', value])
        }
      }
    }
    await everything(store)
    const { nodes, policies, pathCache } = store
    expect(asked).toBeGreaterThan(250)
    expect(new Set(methodsOf({ nodes, policies, pathCache }).map(({ name }) => name)).size).toBeGreaterThan(30)
    // A transaction's repositories are other objects, and some are of other classes.
    await store.transaction((tx) => everything(Object.assign({}, tx, { pathCache: tx.pathCache as never })), {
      timeoutMs: 60_000,
    })
  })

  test('a clock that breaks while the store is open', async () => {
    let broken = false
    await using opened = await backend.open({ now: () => new Date(broken ? Number.NaN : '2026-01-02T03:04:05Z') })
    const { store } = opened
    broken = true
    for (const [name, call] of calls) await outcome(name, () => call(store), [])
    await store
      .transaction(async (tx) => {
        for (const [name, call] of calls) {
          if (!name.startsWith('pathCache.getOrCompute') && name !== 'stats')
            await outcome(`tx.${name}`, () => call(Object.assign({}, store, tx) as never), [])
        }
      })
      .catch(() => undefined)
    for (const read of [store.pathCache.get, store.pathCache.getEntry])
      await expectCode(Reflect.apply(read, store.pathCache, [pathKey('a', 'b')]), 'MISUSE')
    await expectCode(store.nodes.create({ nodeId: 'n', interfaces: [], protocols: [] }), 'MISUSE')
    broken = false
    expect(await store.pathCache.get(pathKey('a', 'b'))).toBeUndefined()
  })
})
