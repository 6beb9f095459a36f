import { expect } from 'vitest'
import { StorageError, type StorageErrorCode } from '../../src/index.ts'

/** Asserts that the promise rejects with a StorageError of this code, and returns it. */
export async function expectCode(promise: PromiseLike<unknown>, code: StorageErrorCode): Promise<StorageError> {
  const outcome = await promise.then(
    () => 'it resolved',
    (error: unknown) => error,
  )
  if (outcome instanceof StorageError) {
    expect(outcome.code, outcome.message).toBe(code)
    return outcome
  }
  throw new Error(`Expected ${code}: ${outcome}`, { cause: outcome })
}

/** The same for VALIDATION, with the paths of its issues. */
export async function expectRefused(promise: PromiseLike<unknown>, ...paths: string[]): Promise<StorageError> {
  const error = await expectCode(promise, 'VALIDATION')
  expect(error.issues.map(({ path }) => path)).toEqual(paths)
  return error
}

/** Everything that an async iterable gives. */
export async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of iterable) items.push(item)
  return items
}

/** The order of keys: by their UTF-8 bytes. */
export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Ids of which the order by UTF-16 units is another one than that by bytes, in the order by bytes. */
export const IDS_BY_BYTES = ['-', 'A', 'B', 'Z', '_', 'a', 'ab', 'b', 'ä', 'я', '\u{e000}', '\u{fffd}', '\u{1f600}']
