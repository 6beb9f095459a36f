/** The store's connections: how many there are, who waits for them, and what ends them. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { all, expectCode } from '../support/expectations.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../support/samples.ts'
import { backendsOf, createDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { performAll } from './support/operations.ts'
import { refuseBadRows } from './support/refusing.ts'
import { describePostgres } from './support/suite.ts'

/** The asynchronous context outside of every transaction. */
const outside = AsyncLocalStorage.snapshot()

const warnings: string[] = []
process.on('warning', (warning) => warnings.push(`${warning.name}: ${warning.message}`))

describePostgres('a single connection', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase()
    return () => database[Symbol.asyncDispose]()
  })
  afterAll(() => expect(warnings).toEqual([]))
  // No sweep, since rows are counted.
  const open = (): Promise<Meshstore> =>
    openStorage({ url: database.url, pool: { max: 1 }, pathCache: { sweepSeconds: 86_400 } })

  test('is enough for everything', async () => {
    await using store = await open()
    await performAll(store)
    await store.nodes.createMany(manyNodes(1_200))
    expect(await backendsOf(database)).toHaveLength(1)
  })

  test('is enough for transactions in the middle of an iteration', async () => {
    await using store = await open()
    let seen = 0
    for await (const { nodeId } of store.nodes.iterate()) {
      if (seen++ % 300 === 0) await store.transaction((tx) => tx.nodes.recordRoutes(nodeId))
    }
    expect(seen).toBe(1_203)
  })

  test('is enough for an iteration in a transaction, while another transaction waits', async () => {
    await using store = await open()
    const order: string[] = []
    let waiting: Promise<unknown> | undefined
    await store.transaction(async (tx) => {
      for await (const { nodeId } of tx.nodes.iterate()) {
        if (nodeId !== 'n-0100') continue
        waiting = outside(() => store.transaction(async (other) => order.push(`waited, ${await other.nodes.count()}`)))
      }
      await tx.nodes.delete('n-0100')
      order.push('iterated')
    })
    await waiting
    expect(order).toEqual(['iterated', 'waited, 1202'])
  })

  test('is enough for 1,000 operations at once', async () => {
    await using store = await open()
    const operations = Array.from({ length: 200 }, (_, index) => [
      store.nodes.create(node(`m-${index}`)),
      store.nodes.get('n-0001'),
      store.policies.save(policy(`p-${index % 10}`)),
      store.pathCache.set(pathKey('a', `b-${index}`), bundle('a', `b-${index}`)),
      store.transaction(async (tx) => {
        await tx.transaction((inner) => inner.nodes.recordRoutes('n-0000'))
        await Promise.all([tx.nodes.get('n-0000'), tx.nodes.count(), tx.policies.list()])
      }),
    ])
    await Promise.all([...operations.flat(), store.stats(), store.health()])
    expect((await store.nodes.get('n-0000'))?.routesDiscovered).toBe(201)
    expect(await store.nodes.count()).toBe(1_402)
    // The paths from before a policy was added are gone.
    expect(await store.pathCache.count({ source: 'a' })).toBeLessThanOrEqual(201)
    expect((await store.stats()).rows.pathCache).toBe(201)
    expect(await backendsOf(database)).toHaveLength(1)
  })

  test('is waited for as long as a transaction takes: the time limit of connecting is none of waiting', async () => {
    const url = new URL(database.url)
    url.searchParams.set('connect_timeout', '1')
    await using store = await openStorage({ url: url.href, pool: { max: 1 } })
    const holding = store.transaction(() => new Promise((resolve) => setTimeout(resolve, 1_300)))
    const waiting = [store.nodes.count(), store.stats(), store.transaction((tx) => tx.nodes.count())]
    await expect(Promise.all(waiting)).resolves.toHaveLength(3)
    await holding
  })
})

describePostgres('a few connections', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase()
    await (await openStorage(database.url)).close()
    await refuseBadRows(database)
    return () => database[Symbol.asyncDispose]()
  })

  test('are never more than was asked for, and all of them are used', async () => {
    await using store = await openStorage({ url: database.url, pool: { max: 3 } })
    const work = Array.from({ length: 300 }, (_, index) =>
      index % 3 === 0 ? store.transaction((tx) => tx.nodes.count()) : store.nodes.get(`n-${index}`),
    )
    await Promise.all([...work, store.stats(), store.health()])
    expect(await backendsOf(database)).toHaveLength(3)
  })

  test('are not all taken by transactions that only read: a callback may wait for another call', async () => {
    await using store = await openStorage({ url: database.url, pool: { max: 2 } })
    const inside = Array.from({ length: 4 }, () => Promise.withResolvers<void>())
    const transactions = inside.map(({ resolve }, n) =>
      store.transaction(
        async (tx) => {
          await tx.nodes.count()
          resolve()
          await outside(() => store.nodes.save(node(`waited-for-${n}`)))
        },
        { readOnly: true, timeoutMs: 60_000 },
      ),
    )
    await inside[0]?.promise
    await Promise.all(transactions)
    for (const n of inside.keys()) expect(await store.nodes.delete(`waited-for-${n}`)).toBe(true)
  })

  test('are kept when a statement fails, whatever it was', async () => {
    await using store = await openStorage({ url: database.url, pool: { max: 2 } })
    await store.nodes.save(node('fine'))
    await Promise.all(Array.from({ length: 20 }, () => store.nodes.list()))
    const before = await backendsOf(database)
    expect(before).toHaveLength(2)

    const codes: [string, Parameters<typeof expectCode>[1]][] = [
      ['23514', 'CORRUPT'],
      ['23502', 'CORRUPT'],
      ['23503', 'CONFLICT'],
      ['P0001', 'CONFLICT'],
      ['22003', 'VALIDATION'],
      ['42501', 'CONFIG'],
      ['53100', 'STORAGE_FULL'],
    ]
    for (const [sqlstate, code] of codes) {
      const bad = node(`bad-${sqlstate}`)
      await expectCode(store.nodes.create(bad), code)
      await expectCode(store.nodes.save(bad), code)
      await expectCode(store.nodes.createMany([node('good'), bad]), code)
      await expectCode(
        store.transaction(async (tx) => {
          await tx.nodes.save(node('good'))
          await tx.nodes.save(bad)
        }),
        code,
      )
    }
    await expectCode(store.nodes.create(node('fine')), 'ALREADY_EXISTS')
    await expectCode(store.nodes.update('none', { started: true }), 'NOT_FOUND')
    await expect(
      store.transaction(async () => {
        throw new RangeError('my own')
      }),
    ).rejects.toThrow(RangeError)

    await Promise.all(Array.from({ length: 20 }, () => store.nodes.list()))
    expect(await backendsOf(database)).toEqual(before)
    expect(await all(store.nodes.iterate())).toMatchObject([{ nodeId: 'fine' }])
  })

  test('are given back by a transaction that took too long', async () => {
    await using store = await openStorage({ url: database.url, pool: { max: 1 } })
    const late = store.transaction(
      async (tx) => {
        await tx.nodes.recordRoutes('fine')
        await new Promise((resolve) => setTimeout(resolve, 60_000).unref())
      },
      { timeoutMs: 100 },
    )
    const error = await expectCode(late, 'TIMEOUT')
    expect(error.message).toContain('100 ms')
    expect((await store.nodes.get('fine'))?.routesDiscovered).toBe(0)
  })

  test('end with the store: none is left, and none was left in a transaction', async () => {
    const store = await openStorage({ url: database.url, pool: { max: 3 } })
    const accepted = Array.from({ length: 30 }, () => store.nodes.recordRoutes('fine'))
    await store.close()
    await Promise.all(accepted)
    await eventually('the connections have ended', async () => (await backendsOf(database)).length === 0)
    const [row] = await database.query<{ count: number }>(
      "SELECT routes_discovered AS count FROM nodes WHERE node_id = 'fine'",
    )
    expect(row?.count).toBe(30)
  })
})

describePostgres("somebody else's lock", () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase()
    return () => database[Symbol.asyncDispose]()
  })

  test.for([
    ['a single statement', (store: Meshstore) => store.nodes.update('held', { started: true })],
    ['a counter', (store: Meshstore) => store.nodes.recordRoutes('held')],
    ['writes that were gathered', (store: Meshstore) => store.nodes.save(node('held'))],
    ['many rows', (store: Meshstore) => store.nodes.saveMany([node('other'), node('held')])],
  ] as const)('keeps nobody waiting for longer than busyTimeoutMs: %s', async ([, write]) => {
    await using store = await openStorage({ url: database.url, busyTimeoutMs: 300 })
    await store.nodes.save(node('held'))
    const other = await database.client()
    await other.query('BEGIN')
    await other.query("SELECT 1 FROM nodes WHERE node_id = 'held' FOR UPDATE")
    try {
      await waitAtMost(other, () => expectCode(write(store), 'BUSY'))
    } finally {
      await other.query('COMMIT')
    }
    await write(store)
  })

  test('is waited for once by all calls of its row, single or in bulk', async () => {
    await using store = await openStorage({ url: database.url, busyTimeoutMs: 1_000 })
    await store.nodes.save(node('held'))
    const other = await database.client()
    await other.query('BEGIN')
    await other.query("SELECT 1 FROM nodes WHERE node_id = 'held' FOR UPDATE")
    try {
      // One after the other they would take 24 seconds.
      await waitAtMost(
        other,
        () =>
          Promise.all(
            Array.from({ length: 24 }, (_, n) =>
              expectCode(n % 6 === 0 ? store.nodes.recordRoutes('held') : store.nodes.saveMany([node('held')]), 'BUSY'),
            ),
          ),
        15_000,
      )
    } finally {
      await other.query('COMMIT')
    }
    await store.nodes.saveMany([node('held')])
  })

  test('keeps a transaction waiting for no longer than timeoutMs', async () => {
    await using store = await openStorage(database.url)
    await store.nodes.save(node('held'))
    const other = await database.client()
    await other.query('BEGIN')
    await other.query("SELECT 1 FROM nodes WHERE node_id = 'held' FOR UPDATE")
    try {
      await waitAtMost(other, async () => {
        const failed = store.transaction((tx) => tx.nodes.delete('held'), { timeoutMs: 300 })
        const error = await failed.then(
          () => undefined,
          (reason) => reason,
        )
        expect(error).toBeInstanceOf(StorageError)
        expect(['BUSY', 'TIMEOUT']).toContain(error.code)
        // Not what was left of it for the last attempt.
        if (error.code === 'TIMEOUT') expect(error.message).toContain(' 300 ms ')
      })
    } finally {
      await other.query('COMMIT')
    }
    expect(await store.nodes.get('held')).toBeDefined()
  })
})

/** The lock goes at last, so that the test ends. */
async function waitAtMost(holder: pg.Client, work: () => Promise<unknown>, mostMs = 30_000): Promise<void> {
  let isReleased = false
  const release = setTimeout(() => {
    isReleased = true
    holder.query('COMMIT')
  }, mostMs)
  try {
    await work()
    expect(isReleased, 'it waited until the lock was gone').toBe(false)
  } finally {
    clearTimeout(release)
  }
}
