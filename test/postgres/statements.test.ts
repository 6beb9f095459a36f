/** Prepared statements when tables change under them, and transactions in which something failed. */
import { beforeEach, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { node } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { backendsOf, createDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { refuseBadRows } from './support/refusing.ts'
import { describePostgres } from './support/suite.ts'

/** "cached plan must not change result type" */
const STALE = '0A000'

const sqlstateOf = (error: unknown): unknown =>
  error instanceof Error && error.cause instanceof Error && 'code' in error.cause ? error.cause.code : undefined

describePostgres('a prepared statement', () => {
  let database: TestDatabase
  let store: Meshstore
  beforeEach(async () => {
    database = await createDatabase()
    store = await openStorage({ url: database.url, pool: { max: 2 } })
    return async () => {
      await store.close()
      await database[Symbol.asyncDispose]()
    }
  })

  /** On every connection. */
  const everywhere = <T>(work: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: 6 }, work))

  test('is prepared again when the type of a column has changed', async () => {
    await store.nodes.create(node('n'))
    const use = async (): Promise<void> => {
      await store.nodes.get('n')
      await store.nodes.list()
      await store.nodes.update('n', { started: true })
      await store.nodes.save(node('n'))
    }
    await everywhere(use)
    await eventually(
      'the connection that opened the store has ended',
      async () => (await backendsOf(database)).length === 2,
    )
    const pids = await backendsOf(database)
    using errors = record('statement', 'error')
    for (const type of ['bigint', 'integer']) {
      await database.query(`ALTER TABLE nodes ALTER COLUMN routes_discovered TYPE ${type}`)
      await everywhere(use)
    }
    expect(errors.events.filter(({ error }) => sqlstateOf(error) === STALE).length).toBeGreaterThan(0)
    expect((await store.nodes.recordRoutes('n', 3)).routesDiscovered).toBe(3)
    expect(await backendsOf(database)).toEqual(pids)
  })

  test('is prepared again for transactions, too: they are run again', async () => {
    await store.nodes.create(node('n'))
    const use = (): Promise<unknown> => store.transaction((tx) => tx.nodes.get('n'))
    await everywhere(use)
    using errors = record('statement', 'error')
    await database.query('ALTER TABLE nodes ALTER COLUMN routes_discovered TYPE bigint')
    // A store that is used through transactions alone must not be broken for ever.
    await everywhere(use)
    expect(errors.events.filter(({ error }) => sqlstateOf(error) === STALE).length).toBeGreaterThan(0)
  })

  test('does not mind a column more', async () => {
    await store.nodes.create(node('n'))
    await everywhere(() => store.nodes.get('n'))
    await database.query("ALTER TABLE nodes ADD COLUMN comment text NOT NULL DEFAULT ''")
    expect(await store.nodes.get('n')).not.toHaveProperty('comment')
    await store.nodes.create(node('m'))
    expect(await store.nodes.save(node('n'))).not.toHaveProperty('comment')
    await store.nodes.createMany([node('o'), node('p')])
    expect(await store.nodes.count()).toBe(4)
  })
})

describePostgres('a transaction in which a statement failed', () => {
  let database: TestDatabase
  let store: Meshstore
  beforeEach(async () => {
    database = await createDatabase()
    store = await openStorage({ url: database.url, pool: { max: 2 } })
    await refuseBadRows(database)
    return async () => {
      await store.close()
      await database[Symbol.asyncDispose]()
    }
  })

  test('goes on without what the server refused, whether or not anybody waited for that', async () => {
    const failures: unknown[] = []
    await store.transaction(async (tx) => {
      await tx.nodes.create(node('before'))
      tx.nodes.save(node('bad-P0001')).catch((failure) => failures.push(failure))
    })
    expect(failures).toHaveLength(1)
    expect(failures[0]).toBeInstanceOf(StorageError)
    expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['before'])
  })

  test('is no success when the statement failed in a savepoint, whose end it does not outlive', async () => {
    await store.transaction(async (tx) => {
      await tx.nodes.create(node('before'))
      await expectCode(
        tx.transaction(async (inner) => {
          await inner.nodes.create(node('inner'))
          await inner.nodes.create(node('before'))
        }),
        'ALREADY_EXISTS',
      )
      await tx.nodes.create(node('after'))
    })
    expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['after', 'before'])
  })

  test.for([
    ['P0001', 'CONFLICT'],
    ['23514', 'CORRUPT'],
    ['53100', 'STORAGE_FULL'],
  ] as const)('is no unknown outcome when the server refuses the COMMIT with %s', async ([sqlstate, code]) => {
    const late = node(`def-${sqlstate}`)
    await expectCode(store.nodes.create(late), code)
    await expectCode(store.nodes.createMany([node('before'), late]), code)
    await expectCode(
      store.transaction(async (tx) => {
        await tx.nodes.create(node('before'))
        await tx.nodes.create(late)
      }),
      code,
    )
    expect(await store.nodes.list()).toEqual([])
  })

  test.for([
    ['40001', 'serialization_failure'],
    ['40P01', 'deadlock_detected'],
    ['55P03', 'lock_not_available'],
  ] as const)('is run again when the COMMIT failed with %s, and an event tells why', async ([sqlstate, reason]) => {
    using retries = record('retry', 'asyncEnd')
    let runs = 0
    await store.transaction(async (tx) => {
      await tx.nodes.create(node(runs++ === 0 ? `def-${sqlstate}` : 'second'))
    })
    expect(runs).toBe(2)
    expect(retries.events).toEqual([{ event: 'transaction', reason }])
    expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['second'])
  })

  test('leaves its connection as it was', async () => {
    await store.nodes.list()
    for (let round = 0; round < 10; round++) {
      await expectCode(
        store.transaction((tx) => tx.nodes.save(node('bad-P0001'))),
        'CONFLICT',
      )
    }
    const [states] = await database.query<{ states: string[] }>(
      "SELECT array_agg(DISTINCT state) AS states FROM pg_stat_activity WHERE datname = $1 AND application_name = 'meshstore'",
      [database.name],
    )
    expect(states?.states).toEqual(['idle'])
  })

  test('is run again from its beginning when another was in its way, whatever the callback made of that', async () => {
    await store.nodes.create(node('n'))
    let runs = 0
    await store.transaction(async (tx) => {
      const { routesDiscovered } = (await tx.nodes.get('n')) ?? { routesDiscovered: -1 }
      if (runs++ === 0) await database.query("UPDATE nodes SET routes_discovered = 41 WHERE node_id = 'n'")
      await tx.nodes.update('n', { routesDiscovered: routesDiscovered + 1 }).catch(() => {})
    })
    expect(runs).toBe(2)
    expect((await store.nodes.get('n'))?.routesDiscovered).toBe(42)
  })

  test('is run no more often than `attempts` says', async () => {
    await store.nodes.create(node('n'))
    let runs = 0
    const error = await expectCode(
      store.transaction(
        async (tx) => {
          await tx.nodes.get('n')
          runs++
          await database.query("UPDATE nodes SET routes_discovered = routes_discovered + 1 WHERE node_id = 'n'")
          await tx.nodes.update('n', { started: true })
        },
        { attempts: 3 },
      ),
      'BUSY',
    )
    expect(runs).toBe(3)
    expect(error.retryable).toBe(true)
  })
})
