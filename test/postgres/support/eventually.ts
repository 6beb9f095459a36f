import { StorageError } from '../../../src/index.ts'

/** Resolves when the condition holds; fails when it does not within the time. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not within ${withinMs} ms: ${what}.`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** The result of `work` as soon as the database can be reached. */
export async function asSoonAsAvailable<T>(work: () => Promise<T>): Promise<T> {
  let result: { readonly value: T } | undefined
  await eventually('the database can be reached again', async () => {
    try {
      result = { value: await work() }
      return true
    } catch (error) {
      if (error instanceof StorageError && error.retryable) return false
      throw error
    }
  })
  if (result === undefined) throw new Error('It was never reached.')
  return result.value
}
