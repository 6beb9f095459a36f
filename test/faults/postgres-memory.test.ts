/** Units of 100,000 rows, and iterations over them, in bounded memory. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type MeshNode, type Meshstore, openStorage } from '../../src/index.ts'
import { createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { recordStatements } from '../support/tracing.ts'

const ROWS = 100_000
const MEBIBYTE = 1_048_576
/** The caller holds its arguments and the answer; the library holds a few slices beside them. */
const UNIT_MEBIBYTES = 300
/** A hundred thousand rows would be dozens. */
const ITERATION_MEBIBYTES = 5
const SAMPLE_ROWS = 10_000

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** The bytes in use, without those that wait to be collected. */
function heldBytes(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** How far the memory of the process rose above what it was, in MiB. */
async function rise(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss()
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss())
  }, 5)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return (Math.max(most, process.memoryUsage.rss()) - before) / MEBIBYTE
}

/** How far what is in use rises from the first 10,000 rows, of which each counts 7, to all of them, in MiB. */
async function heldBy(rows: AsyncIterable<MeshNode>): Promise<number> {
  let seen = 0
  let first = 0
  let most = 0
  for await (const { routesDiscovered } of rows) {
    seen += routesDiscovered
    if (seen % (7 * SAMPLE_ROWS) !== 0) continue
    const held = heldBytes()
    first ||= held
    most = Math.max(most, held)
  }
  expect(seen).toBe(7 * ROWS)
  return (most - first) / MEBIBYTE
}

/** Lets go of nothing. */
async function* keeping<T>(rows: AsyncIterable<T>): AsyncGenerator<T> {
  const kept: T[] = []
  for await (const row of rows) {
    kept.push(row)
    yield row
  }
}

describePostgres(`${ROWS} rows on PostgreSQL`, () => {
  let database: TestDatabase
  let store: Meshstore
  const risen: string[] = []
  beforeAll(async () => {
    database = await createDatabase()
    // A sweep would evict what the test counts.
    store = await openStorage({ url: database.url, pool: { max: 2 }, pathCache: { maxEntries: 2 * ROWS } })
    return async () => {
      await store.close()
      await database[Symbol.asyncDispose]()
    }
  })
  afterAll(() => console.log(`MiB more than before: ${risen.join(', ')}`))

  const id = (index: number): string => `n-${String(index).padStart(6, '0')}`
  const nodes = (routesDiscovered: number) =>
    Array.from({ length: ROWS }, (_, index) => node(id(index), { routesDiscovered }))

  async function within(mebibytes: number, what: string, work: () => Promise<unknown>): Promise<void> {
    const risenBy = await rise(work)
    risen.push(`${what} ${Math.round(risenBy)}`)
    expect(risenBy).toBeLessThan(mebibytes)
  }

  test('are iterated in constant memory', async () => {
    await database.query(
      `INSERT INTO nodes SELECT 'x-' || n, '["eth0"]', '["batman-adv"]', false, 7, 1767225600.5, 1767225600.5
       FROM generate_series(1, $1) AS n`,
      [ROWS],
    )
    const risenBy = await heldBy(store.nodes.iterate())
    risen.push(`iterate ${risenBy.toFixed(1)}`)
    expect(risenBy).toBeLessThan(ITERATION_MEBIBYTES)
    // The same sees what an iteration keeps.
    expect(await heldBy(keeping(store.nodes.iterate()))).toBeGreaterThan(ITERATION_MEBIBYTES)
    await database.query('TRUNCATE nodes')
  })

  test('are created, saved and cached in one unit each', async () => {
    using statements = recordStatements()
    await within(UNIT_MEBIBYTES, 'createMany', () => store.nodes.createMany(nodes(1)))
    await within(UNIT_MEBIBYTES, 'saveMany', () => store.nodes.saveMany(nodes(2)))
    const shared = bundle('a', 'b')
    await within(UNIT_MEBIBYTES, 'setMany', () =>
      store.pathCache.setMany(
        Array.from({ length: ROWS }, (_, index) => ({
          key: pathKey('a', id(index)),
          bundle: shared,
          ttlSeconds: 3_600,
        })),
      ),
    )
    // By hundreds of rows, not one by one.
    expect(statements.events.length).toBeLessThan((3 * ROWS) / 100)
    expect(await store.nodes.count()).toBe(ROWS)
    expect((await store.nodes.get(id(ROWS - 1)))?.routesDiscovered).toBe(2)
    expect(await store.pathCache.count()).toBe(ROWS)
  })

  test('are all or none: the last of them undoes the others', async () => {
    const one = Array.from({ length: 5_000 }, (_, index) => node(`new-${index}`))
    await expect(store.nodes.createMany([...one, node(id(0))])).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await store.nodes.count()).toBe(ROWS)
  })
})
