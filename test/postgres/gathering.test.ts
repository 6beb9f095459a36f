/** Single writes of the same moment become few statements, and each gets what it would have got by itself. */
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { PostgresConnection } from '../../src/database/postgres/connection.ts'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { outcomes, tally } from '../sqlite/support/settled.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../support/samples.ts'
import { record, recordStatements } from '../support/tracing.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { refuseBadRows } from './support/refusing.ts'
import { describePostgres } from './support/suite.ts'

describePostgres('writes of the same moment on PostgreSQL', () => {
  let database: TestDatabase
  let store: Meshstore
  beforeAll(async () => {
    database = await createDatabase()
    store = await openStorage({ url: database.url, pool: { max: 4 } })
    await refuseBadRows(database)
    // Everything is loaded and prepared before something is counted.
    await Promise.all([store.nodes.create(node('first')), store.policies.create(policy('first'))])
    return async () => {
      await store.close()
      await database[Symbol.asyncDispose]()
    }
  })
  beforeEach(() => database.query('TRUNCATE nodes, policies, path_cache') as Promise<unknown>)

  /** How many rows each statement wrote. */
  async function rowsOf(work: () => Promise<unknown>): Promise<number[]> {
    using statements = recordStatements()
    await work()
    return statements.events.map(({ rows = 0 }) => rows)
  }

  test('1,000 of them are a few statements, and each has its own result', async () => {
    const nodes = manyNodes(1_000)
    const statements = await rowsOf(async () => {
      const created = await Promise.all(nodes.map((each) => store.nodes.create(each)))
      expect(created.map(({ nodeId }) => nodeId)).toEqual(nodes.map(({ nodeId }) => nodeId))
    })
    console.log(`1,000 creates at once: ${statements.length} statements`)
    expect(statements.length).toBeLessThanOrEqual(20)
    expect(statements.reduce((sum, rows) => sum + rows)).toBe(1_000)
    expect(await store.nodes.count()).toBe(1_000)
  })

  test('a statement adds no more than 250 rows, and changes no more than 500', async () => {
    const nodes = manyNodes(1_200)
    const added = await rowsOf(() => Promise.all(nodes.map((each) => store.nodes.create(each))))
    expect(Math.max(...added)).toBe(250)
    const changed = await rowsOf(() =>
      Promise.all(nodes.map(({ nodeId }) => store.nodes.update(nodeId, { routesDiscovered: 7 }))),
    )
    expect(Math.max(...changed)).toBe(500)
  })

  test('saves, policies and paths are gathered, each kind by itself', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `x-${index}`)
    const statements = await rowsOf(async () => {
      const saved = ids.map((id) => store.nodes.save(node(id, { routesDiscovered: id.length })))
      const policies = ids.map((id) => store.policies.save(policy(id)))
      const paths = ids.map((id) => store.pathCache.set(pathKey('a', id), bundle('a', id)))
      for (const [index, { nodeId, routesDiscovered }] of (await Promise.all(saved)).entries()) {
        expect([nodeId, routesDiscovered]).toEqual([ids[index], nodeId.length])
      }
      expect((await Promise.all(policies)).map(({ policyId }) => policyId)).toEqual(ids)
      expect((await Promise.all(paths)).map(({ destination }) => destination)).toEqual(ids)
    })
    expect(statements.length).toBeLessThanOrEqual(9)
    expect(statements.reduce((sum, rows) => sum + rows)).toBe(300)
  })

  test('of duplicates exactly one is created', async () => {
    const attempts = manyNodes(20).flatMap((each) => Array.from({ length: 10 }, () => store.nodes.create(each)))
    expect(tally(await outcomes(attempts))).toEqual({ done: 20, ALREADY_EXISTS: 180 })
    expect(await store.nodes.count()).toBe(20)
  })

  test('what is there already is refused, and its neighbours are not', async () => {
    await store.nodes.create(node('n-0007', { started: true }))
    const results = await outcomes(manyNodes(20).map((each) => store.nodes.create(each)))
    expect(results.map((result, index) => (result === 'done' ? '' : `${index} ${result}`)).join('')).toBe(
      '7 ALREADY_EXISTS',
    )
    expect((await store.nodes.get('n-0007'))?.started).toBe(true)
  })

  test('rows that are there already, each created again and then updated, take few statements', async () => {
    const nodes = manyNodes(100)
    await store.nodes.createMany(nodes)
    using statements = recordStatements()
    const calls = nodes.flatMap((each) => [
      store.nodes.create(each),
      store.nodes.update(each.nodeId, { routesDiscovered: 7 }),
    ])
    expect(tally(await outcomes(calls))).toEqual({ ALREADY_EXISTS: 100, done: 100 })
    expect(statements.events.length).toBeLessThan(20)
  })

  test('rows that are not there are looked up in one round trip', async () => {
    using sent = vi.spyOn(PostgresConnection.prototype, 'packet')
    using alone = vi.spyOn(PostgresConnection.prototype, 'run')
    const calls = manyNodes(100).map(({ nodeId }) => store.nodes.update(nodeId, { started: true }))
    expect(tally(await outcomes(calls))).toEqual({ NOT_FOUND: 100 })
    expect(sent.mock.calls.length + alone.mock.calls.length).toBeLessThan(10)
  })

  test('writes of one key keep their order: the last one wins', async () => {
    const versions = Array.from({ length: 50 }, (_, index) => index)
    const keys = ['b', 'c', 'd'].map((destination) => pathKey('a', destination))
    const entries = await Promise.all(
      versions.flatMap((version) => keys.map((key) => store.pathCache.set(key, bundle('a', key.destination, version)))),
    )
    expect(entries.map(({ bundle }) => bundle.primary[0]?.latency_sum_ms)).toEqual(
      versions.flatMap((version) => [version, version, version]),
    )
    for (const key of keys) expect((await store.pathCache.get(key))?.primary[0]?.latency_sum_ms).toBe(49)

    const saved = await Promise.all(
      versions.map((version) => store.nodes.save(node('n', { routesDiscovered: version }))),
    )
    expect(saved.map(({ routesDiscovered }) => routesDiscovered)).toEqual(versions)
    const times = saved.map(({ updatedAt }) => updatedAt.getTime())
    expect(times).toEqual([...new Set(times)].sort((a, b) => a - b))
    expect(await store.nodes.get('n')).toEqual(saved.at(-1))
  })

  describe('a row that is refused', () => {
    test.for([
      ['by a trigger', 'P0001', 'CONFLICT'],
      ['by a foreign key', '23503', 'CONFLICT'],
      ['by a check', '23514', 'CORRUPT'],
      ['because a value does not fit', '22003', 'VALIDATION'],
      ['because it is too large', '54000', 'VALIDATION'],
    ] as const)('%s is refused alone', async ([, sqlstate, code]) => {
      const nodes = manyNodes(100)
      nodes[50] = node(`bad-${sqlstate}`)
      expect(tally(await outcomes(nodes.map((each) => store.nodes.create(each))))).toEqual({ done: 99, [code]: 1 })
      expect(tally(await outcomes(nodes.map((each) => store.nodes.save(each))))).toEqual({ done: 99, [code]: 1 })
      expect(await store.nodes.count()).toBe(99)
    })
  })

  describe('a row that takes too long', () => {
    beforeAll(async () => {
      await database.query(`
        CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20); RETURN NEW; END $$`)
      await database.query(`
        CREATE TRIGGER take_long BEFORE INSERT OR UPDATE ON nodes
        FOR EACH ROW WHEN (NEW.node_id LIKE 'slow-%' AND NEW.started) EXECUTE FUNCTION take_long()`)
    })
    const openImpatient = (statementMs: number): Promise<Meshstore> => {
      const url = new URL(database.url)
      url.searchParams.set('statement_timeout', String(statementMs))
      return openStorage(url.href)
    }

    test('is refused alone, and later calls of its row are not', async () => {
      await using impatient = await openImpatient(2_000)
      const nodes = manyNodes(50)
      nodes[20] = node('slow-1', { started: true })
      const calls = nodes.map((each) => impatient.nodes.save(each))
      const later = impatient.nodes.save(node('slow-1', { started: false }))
      const refused = (await Promise.allSettled(calls)).flatMap((each) =>
        each.status === 'rejected' ? [each.reason] : [],
      )
      expect(refused).toMatchObject([{ code: 'TIMEOUT' }])
      expect(refused[0].message).toContain('nodes "slow-1": ')
      expect(await later).toMatchObject({ started: false })
      expect(await store.nodes.count()).toBe(50)
    })

    test('does not let all others be tried one by one', async () => {
      await using impatient = await openImpatient(300)
      using statements = record('statement', 'start')
      const slow = manyNodes(30, 'slow').map((each) => impatient.nodes.create({ ...each, started: true }))
      expect(tally(await outcomes(slow))).toEqual({ TIMEOUT: 30 })
      expect(statements.events.length).toBeLessThan(30)
      expect(await store.nodes.count()).toBe(0)
    })
  })

  test('the same rows in opposite orders, from two stores, are in nobody else’s way', async () => {
    await using other = await openStorage({ url: database.url, pool: { max: 4 } })
    const nodes = manyNodes(250)
    for (let round = 0; round < 10; round++) {
      const forth = nodes.map((each) => store.nodes.save({ ...each, routesDiscovered: round }))
      const back = nodes.toReversed().map((each) => other.nodes.save({ ...each, routesDiscovered: round }))
      expect(tally(await outcomes([...forth, ...back]))).toEqual({ done: 500 })
    }
    expect((await store.nodes.list({ limit: 1_000 })).map(({ routesDiscovered }) => routesDiscovered)).toEqual(
      nodes.map(() => 9),
    )
  })

  test('what its caller changes afterwards does not reach it', async () => {
    const mine = node('n', { interfaces: ['eth0'] })
    const creating = store.nodes.create(mine)
    mine.interfaces.push('changed')
    mine.nodeId = 'changed'
    await creating
    expect(await store.nodes.list()).toMatchObject([{ nodeId: 'n', interfaces: ['eth0'] }])
  })
})
