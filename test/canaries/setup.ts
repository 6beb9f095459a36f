/** In every test file: no value that the library is given, and no password, is seen in what comes out of it. */
import { afterAll, afterEach, expect, inject } from 'vitest'
import { appPassword } from '../support/postgres-backend.ts'
import { lookAtCalls } from './calls.ts'
import { Canary, type Looked } from './canary.ts'
import { lookAtEvents, lookAtOutput } from './outside.ts'

declare module 'vitest' {
  interface TaskMeta {
    /** The number of errors and events looked at in the case. */
    looked?: Looked
  }
}

export const canary = new Canary(passwordsOf(inject('postgresUrl')))

await lookAtCalls(canary)
lookAtOutput(canary)
// A store takes other paths where nobody listens: the random programs see to those.
if (!expect.getState().testPath?.includes('/property/')) lookAtEvents(canary)

afterEach(({ task }) => {
  const { leaks, looked } = canary.take()
  task.meta.looked = looked
  expect(leaks).toEqual([])
})

afterAll(() => expect(canary.take().leaks).toEqual([]))

function passwordsOf(url: string): string[] {
  if (url === '') return []
  const { password } = new URL(url)
  return [decodeURIComponent(password), appPassword(url)].filter((each) => each.length > 3)
}
