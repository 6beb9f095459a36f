/** A server that is away, and one that is there but says nothing: nothing waits for long, and all is well afterwards. */
import { beforeAll, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { backendsOf, createDatabase, ended } from '../postgres/support/database.ts'
import { asSoonAsAvailable } from '../postgres/support/eventually.ts'
import { freeze } from '../postgres/support/frozen.ts'
import { FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { LONGEST_MS, withTimeouts } from '../postgres/support/timeouts.ts'
import { watchProcess } from '../postgres/support/watched.ts'
import { expectCode } from '../support/expectations.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node, policy } from '../support/samples.ts'

const OPERATIONS: readonly ((store: Meshstore) => Promise<unknown>)[] = [
  (store) => store.nodes.get('first'),
  (store) => store.nodes.list(),
  (store) => store.nodes.create(node('new')),
  (store) => store.nodes.update('first', { started: true }),
  (store) => store.nodes.createMany([node('new-1'), node('new-2')]),
  (store) => store.policies.save(policy('p')),
  (store) => store.transaction((tx) => tx.nodes.get('first')),
  (store) => store.stats(),
]

interface Settled {
  readonly code: string
  readonly milliseconds: number
}

async function settled(promise: Promise<unknown>): Promise<Settled> {
  const begun = performance.now()
  const code = await promise.then(
    () => 'done',
    (error: unknown) => {
      if (error instanceof StorageError) return error.code
      throw error
    },
  )
  return { code, milliseconds: performance.now() - begun }
}

describePostgres('a PostgreSQL server that is away', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })
  const faults = watchProcess()

  test('every operation is UNAVAILABLE at once, and works again when the server is back', async () => {
    await using database = await createDatabase(server.url('postgres'))
    await using proxy = await FaultyProxy.before(database.url)
    await using store = await openStorage(withTimeouts(proxy.url))
    await store.nodes.create(node('first'))
    await proxy.away()

    for (const operation of OPERATIONS) {
      const error = await expectCode(operation(store), 'UNAVAILABLE')
      expect(error.retryable).toBe(true)
    }
    expect(await store.health()).toMatchObject({ canRead: false, canWrite: false })
    await expectCode(openStorage(withTimeouts(proxy.url)), 'UNAVAILABLE')

    await proxy.back()
    for (const operation of OPERATIONS) await operation(store)
    expect(await store.health()).toMatchObject({ canRead: true, canWrite: true, problems: [] })
    expect(faults()).toEqual([])
  })

  test('a store that is closed while the server is away is closed', async () => {
    await using database = await createDatabase(server.url('postgres'))
    await using proxy = await FaultyProxy.before(database.url)
    const store = await openStorage(withTimeouts(proxy.url))
    await store.nodes.create(node('first'))
    await proxy.away()
    await store.close()
    await expectCode(store.nodes.get('first'), 'CLOSED')
  })

  test('who waits behind a COMMIT that is never answered is refused, and knows that nothing was sent', async () => {
    await using database = await createDatabase(server.url('postgres'))
    await using proxy = await FaultyProxy.before(database.url)
    await using store = await openStorage({ url: withTimeouts(proxy.url), pool: { max: 1 } })
    await store.nodes.create(node('first'))
    proxy.arm('silent before', 'COMMIT\0')
    const silent = settled(store.transaction((tx) => tx.nodes.create(node('unknown'))))
    const behind = [
      settled(store.nodes.list()),
      settled(store.nodes.delete('first')),
      settled(store.transaction((tx) => tx.nodes.create(node('never')))),
    ]
    expect((await silent).code).toBe('OUTCOME_UNKNOWN')
    expect((await Promise.all(behind)).map(({ code }) => code)).toEqual(Array(behind.length).fill('UNAVAILABLE'))
    expect(proxy.injected).toBe(1)
    const left = await asSoonAsAvailable(() => store.nodes.list())
    expect(left.map(({ nodeId }) => nodeId)).toEqual(['first'])
  })

  test('a server that is stopped where it is keeps nobody waiting, however many wait', async () => {
    await using database = await createDatabase(server.url('postgres'))
    await using store = await openStorage({ url: withTimeouts(database.url), pool: { max: 4 } })
    await using closing = await openStorage({ url: withTimeouts(database.url), pool: { max: 2 } })
    await Promise.all(Array.from({ length: 8 }, () => store.nodes.list()))
    await closing.nodes.list()
    const pids = await backendsOf(database)
    expect(pids.length).toBeGreaterThanOrEqual(4)

    let all: Settled[]
    const frozen = await freeze(server)
    try {
      const waiting = Array.from({ length: 40 }, (_, index) => [
        settled(store.transaction((tx) => tx.nodes.create(node(`n-${index}`)))),
        settled(store.nodes.delete(`n-${index}`)),
        settled(store.nodes.list()),
      ])
      all = await Promise.all([...waiting.flat(), settled(openStorage(withTimeouts(database.url)))])
      const closed = await settled(closing.close())
      expect(closed.code).toBe('done')
      all.push(closed)
    } finally {
      frozen[Symbol.dispose]()
    }
    const count = (wanted: string): number => all.filter(({ code }) => code === wanted).length
    const longest = Math.max(...all.map(({ milliseconds }) => milliseconds))
    console.log(
      `stopped: ${count('UNAVAILABLE')} unavailable, ${count('OUTCOME_UNKNOWN')} unknown, the longest took ${Math.round(longest)} ms`,
    )
    expect(count('UNAVAILABLE') + count('OUTCOME_UNKNOWN')).toBe(all.length - 1)
    expect(count('OUTCOME_UNKNOWN')).toBeGreaterThan(0)
    expect(longest).toBeLessThan(LONGEST_MS)

    await ended(database, pids)
    await asSoonAsAvailable(() => store.nodes.create(node('after')))
    expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['after'])
    expect(faults()).toEqual([])
  })
})
