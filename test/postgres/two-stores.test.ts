/** Two stores on one database, as in two processes: calls that are not awaited come to their end, and leave no place behind. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { codeOf, type Operation, operation, Program } from '../property/calls.ts'
import { outcomes, tally } from '../sqlite/support/settled.ts'
import { bound } from '../support/bounds.ts'
import { assertProperty } from '../support/properties.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { openWithQueue } from './support/opened.ts'
import { describePostgres } from './support/suite.ts'

const IDS = ['a', 'b', 'c', 'broken', 'locked'] as const
/** Codes with which a call may fail when others are in its way. */
const CODES = new Set(['BUSY', 'TIMEOUT', 'ALREADY_EXISTS', 'NOT_FOUND', 'MINE'])
const isCode = (result: unknown): result is string => typeof result === 'string' && /^[A-Z_]+$/.test(result)
const withoutDeletes = (each: Operation): Operation =>
  JSON.parse(JSON.stringify(each).replaceAll('"delete"', '"count"')) as Operation

/** How often each row was counted on, as far as callers were told. */
function countsOf(operations: readonly Operation[], results: readonly unknown[]): Map<string, number> {
  const counts = new Map<string, number>()
  const count = (call: Operation, result: unknown): void => {
    if (call.kind === 'transaction' && Array.isArray(result))
      for (const [at, each] of call.calls.entries()) count(each, result[at])
    else if (call.kind === 'count' && !isCode(result)) counts.set(call.id, (counts.get(call.id) ?? 0) + 1)
  }
  for (const [at, each] of operations.entries()) count(each, results[at])
  return counts
}

describePostgres('two stores on one database', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase()
    await (await openStorage(database.url)).close()
    return () => database[Symbol.asyncDispose]()
  })

  let programs = 0
  test('that write the same rows: every call ends, and each count that was acknowledged is there', async () => {
    const opened = await Promise.all(
      [1, 2, 8].map((max) => openWithQueue({ url: database.url, pool: { max }, busyTimeoutMs: 1_000 })),
    )
    const calls = fc.array(operation, { minLength: 2, maxLength: 20, size: 'max' })
    const picks = fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { minLength: 2, maxLength: 2 })
    await assertProperty(
      'rivals',
      fc.asyncProperty(calls, calls, picks, async (mine, theirs, [one = 0, other = 1]) => {
        const program = new Program(`r${programs++}`)
        const rivals = [
          { on: opened[one], operations: mine.map(withoutDeletes) },
          { on: opened[other], operations: theirs.map(withoutDeletes) },
        ]
        const counts = await Promise.all(
          rivals.map(async ({ on, operations }) => {
            if (on === undefined) throw new TypeError('There is no such store.')
            const results = await Promise.all(operations.map((each) => program.run(on.store, each).catch(codeOf)))
            for (const each of results.filter(isCode)) expect(CODES).toContain(each)
            expect(on.queue.size).toBe(0)
            return countsOf(operations, results)
          }),
        )
        for (const id of IDS) {
          const expected = counts.reduce((sum, each) => sum + (each.get(id) ?? 0), 0)
          const found = await opened[0]?.store.nodes.get(program.name(id))
          expect(found?.routesDiscovered ?? 0).toBe(expected)
        }
      }),
      { runs: bound('RIVALS', { brief: 40, short: 500, long: 50_000 }) },
    )
    for (const { store } of opened) await store.close()
  })

  test('that write different tables are never BUSY', async () => {
    await using one = await openStorage({ url: database.url, pool: { max: 4 } })
    await using other = await openStorage({ url: database.url, pool: { max: 4 } })
    const ids = Array.from({ length: 300 }, (_, at) => `n-${at}`)
    await one.nodes.createMany(ids.map((id) => node(id)))
    for (let round = 0; round < 5; round++) {
      const calls = ids.flatMap((id) => [
        one.nodes.update(id, { protocols: [`p-${round}`] }),
        other.policies.save(policy(id, `a: ${round}`)),
        other.pathCache.set(pathKey(id, 'z'), bundle(id, 'z', round)),
      ])
      expect(tally(await outcomes(calls))).toEqual({ done: 3 * ids.length })
    }
  })
})

describePostgres('a callback that runs on after its transaction', () => {
  test('takes no place: a later call on the row that it names does not wait for it', async () => {
    await using database = await createDatabase()
    const { store, queue } = await openWithQueue({ url: database.url })
    await store.nodes.create(node('late'))
    const over = Promise.withResolvers<void>()
    const named = Promise.withResolvers<unknown>()
    const transaction = store.transaction(
      async (tx) => {
        await over.promise
        named.resolve(await tx.nodes.update('late', { started: true }).catch(codeOf))
      },
      { timeoutMs: 50 },
    )
    expect(await transaction.catch(codeOf)).toBe('TIMEOUT')
    over.resolve()
    expect(await named.promise).toBe('TIMEOUT')
    expect((await store.nodes.update('late', { protocols: ['done'] })).protocols).toEqual(['done'])
    expect(queue.size).toBe(0)
    await store.close()
  })
})
