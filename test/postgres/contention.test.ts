/** Many transactions at once on few rows: they are in each other's way, and all of them are to come to their end. */
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'

import { node } from '../support/samples.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

const TRANSACTIONS = 1_000
const ROWS = 10
const nodeId = (n: number): string => `n${n % ROWS}`

describePostgres('a thousand transactions in flight, each on two of ten rows', () => {
  test('are all committed: none waits behind the others for its next attempt', async () => {
    await using database = await createDatabase()
    await using store = await openStorage(database.url)
    await store.nodes.createMany(Array.from({ length: ROWS }, (_, n) => node(nodeId(n))))
    const transactions = Array.from({ length: TRANSACTIONS }, (_, n) =>
      store.transaction(
        async (tx) => {
          await tx.nodes.recordRoutes(nodeId(n), 1)
          await tx.nodes.recordRoutes(nodeId(n * 7 + 3), 1)
        },
        { timeoutMs: 10_000 },
      ),
    )
    const outcomes = await Promise.allSettled(transactions)
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : []))
    expect(errors).toEqual([])
    const counts = (await store.nodes.list()).map(({ routesDiscovered }) => routesDiscovered)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2 * TRANSACTIONS)
  })
})
