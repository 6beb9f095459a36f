import { StorageError } from '../../../src/index.ts'

/** The outcome of each: `'done'`, or the code of its error. Anything but a StorageError is rethrown. */
export async function outcomes(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const settled = await Promise.allSettled(promises)
  return settled.map((result) => {
    if (result.status === 'fulfilled') return 'done'
    if (result.reason instanceof StorageError) return result.reason.code
    throw result.reason
  })
}

/** How often each occurs. */
export function tally(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}
