import { beforeAll, expect } from 'vitest'
import { StorageError } from '../../src/index.ts'
import type { Backend, OpenStore } from '../support/backends.ts'
import { contentHash } from '../support/content.ts'
import { expectCode } from '../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'

/** Something of everything, of which nothing may change when a value is refused. */
export async function fill({ store }: OpenStore): Promise<void> {
  await store.nodes.createMany([node('a', { started: true }), node('b')])
  await store.policies.create(policy('a'))
  await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
}

/** One store for all cases of a suite that leave no trace in it. */
export function filledStore(backend: Backend): () => OpenStore {
  let opened: OpenStore | undefined
  beforeAll(async () => {
    const store = await backend.open()
    await fill(store)
    opened = store
    return () => store[Symbol.asyncDispose]()
  })
  return () => {
    if (opened === undefined) throw new Error('The store is opened before the first case.')
    return opened
  }
}

export function expectNoPollution(): void {
  const plain: Record<string, unknown> = {}
  expect(plain.polluted).toBeUndefined()
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(Object.keys(Array.prototype)).toEqual([])
}

/** Asserts that each call is refused with VALIDATION, and that they have changed nothing at all. */
export async function expectNoTraces(
  opened: OpenStore,
  acts: readonly (() => Promise<unknown>)[],
): Promise<StorageError[]> {
  const before = await contentHash(opened)
  const errors: StorageError[] = []
  for (const act of acts) {
    const error = await expectCode(act(), 'VALIDATION')
    expect(error.issues.length).toBeGreaterThan(0)
    expectNoPollution()
    errors.push(error)
  }
  expect(await contentHash(opened)).toBe(before)
  return errors
}

/** The same for one call. */
export async function expectNoTrace(opened: OpenStore, act: () => Promise<unknown>): Promise<StorageError> {
  const [error] = await expectNoTraces(opened, [act])
  if (error === undefined) throw new Error('There was no call.')
  return error
}

/** Asserts that the call either does what it says, or is refused and changes nothing. Returns whether it did. */
export async function doneOrNoTrace(opened: OpenStore, act: () => Promise<unknown>): Promise<boolean> {
  const before = await contentHash(opened)
  try {
    await act()
    return true
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    expect(error.code).toBe('VALIDATION')
    expect(await contentHash(opened)).toBe(before)
    return false
  } finally {
    expectNoPollution()
  }
}
