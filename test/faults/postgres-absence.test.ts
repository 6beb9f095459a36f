/** A server that is away, and one that is there but says nothing: nothing waits for long, and all is well afterwards. */
import { setImmediate } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { backendsOf, createDatabase, ended } from '../postgres/support/database.ts'
import { asSoonAsAvailable } from '../postgres/support/eventually.ts'
import { freeze } from '../postgres/support/frozen.ts'
import { FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { LONGEST_MS, withTimeouts } from '../postgres/support/timeouts.ts'
import { watchProcess } from '../postgres/support/watched.ts'
import { tally } from '../sqlite/support/settled.ts'
import { expectCode } from '../support/expectations.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node, policy } from '../support/samples.ts'
import { type Mistake, mistaken } from './mistaken.ts'
import { shows } from './shown.ts'

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

const unless = (expected: string, outcomes: readonly Settled[]): string[] =>
  outcomes.flatMap(({ code }, index) => (code === expected ? [] : [`number ${index}: ${code}, not ${expected}`]))

const longestOf = (all: readonly Settled[]): number => Math.max(...all.map(({ milliseconds }) => milliseconds))
const lateOf = (longest: number): string[] => (longest < LONGEST_MS ? [] : [`it took ${Math.round(longest)} ms`])

const leftOf = async (store: Meshstore, ...wanted: string[]): Promise<string[]> => {
  const found = (await asSoonAsAvailable(() => store.nodes.list())).map(({ nodeId }) => nodeId)
  return found.join() === wanted.join() ? [] : [`there is ${found.join()}, not ${wanted.join()}`]
}

const soundly: Mistake = (call) => call()

/** Lists the faults of the answers while the server is away, and afterwards. */
async function whileAway(server: PostgresServer, mistake: Mistake): Promise<string[]> {
  await using database = await createDatabase(server.url('postgres'))
  await using proxy = await FaultyProxy.before(database.url)
  await using sound = await openStorage(withTimeouts(proxy.url))
  const store = mistaken(sound, mistake)
  await store.nodes.create(node('first'))
  await proxy.away()
  const said: Settled[] = []
  for (const operation of OPERATIONS) said.push(await settled(operation(store)))
  expect(await store.health()).toMatchObject({ canRead: false, canWrite: false })
  await expectCode(openStorage(withTimeouts(proxy.url)), 'UNAVAILABLE')
  await proxy.back()
  const afterwards: Settled[] = []
  for (const operation of OPERATIONS) afterwards.push(await settled(operation(store)))
  expect(await store.health()).toMatchObject({ canRead: true, canWrite: true, problems: [] })
  return [
    ...unless('UNAVAILABLE', said),
    ...lateOf(longestOf(said)),
    ...unless('done', afterwards).map((problem) => `afterwards, ${problem}`),
    ...(await leftOf(store, 'first', 'new', 'new-1', 'new-2')),
  ]
}

/** In a pool of one connection, the calls behind the first have sent nothing: each is refused, or done afterwards. */
async function behindSilence(server: PostgresServer, mistake: Mistake): Promise<string[]> {
  await using database = await createDatabase(server.url('postgres'))
  await using proxy = await FaultyProxy.before(database.url)
  await using sound = await openStorage({ url: withTimeouts(proxy.url), pool: { max: 1 } })
  await sound.nodes.create(node('first'))
  const store = mistaken(sound, mistake)
  proxy.arm('silent before', 'COMMIT\0')
  const silent = settled(sound.transaction((tx) => tx.nodes.create(node('unknown'))))
  const behind = [
    settled(store.nodes.list()),
    settled(store.nodes.delete('first')),
    settled(store.transaction((tx) => tx.nodes.create(node('never')))),
  ]
  expect((await silent).code).toBe('OUTCOME_UNKNOWN')
  const [, deleted, begun] = (await Promise.all(behind)).map(({ code }) => code)
  expect(proxy.injected).toBe(1)
  const isSettled = (code = '') => ['done', 'UNAVAILABLE'].includes(code)
  const left = [...(deleted === 'done' ? [] : ['first']), ...(begun === 'done' ? ['never'] : [])]
  return [
    ...[deleted, begun].filter((code) => !isSettled(code)).map((code) => `they come to ${code}`),
    ...(await leftOf(sound, ...left)),
  ]
}

/** With forty of each that wait, one store that is opened meanwhile, and one that is closed then. */
async function whileFrozen(server: PostgresServer, limited: (url: string) => string): Promise<string[]> {
  await using database = await createDatabase(server.url('postgres'))
  const url = limited(database.url)
  await using store = await openStorage({ url, pool: { max: 4 } })
  // It sweeps nothing of its own accord: to close it is to wait for what is under way.
  await using closing = await openStorage({ url, pool: { max: 2 }, pathCache: { sweepSeconds: 3_600 } })
  await Promise.all(Array.from({ length: 8 }, () => store.nodes.list()))
  await closing.nodes.list()
  const pids = await backendsOf(database)
  expect(pids.length).toBeGreaterThanOrEqual(4)

  let waited: Settled[]
  let closed: Settled
  const frozen = await freeze(server)
  try {
    // Sent as one batch with its COMMIT, before the transactions take the connections.
    const sent = Array.from({ length: 40 }, (_, index) => settled(store.nodes.delete(`gone-${index}`)))
    for (let turn = 0; turn < 3; turn++) await setImmediate()
    const waiting = Array.from({ length: 40 }, (_, index) => [
      settled(store.transaction((tx) => tx.nodes.create(node(`n-${index}`)))),
      settled(store.nodes.list()),
    ])
    waited = await Promise.all([...sent, ...waiting.flat(), settled(openStorage(url))])
    closed = await settled(closing.close())
  } finally {
    frozen[Symbol.dispose]()
  }
  const counts = tally(waited.map(({ code }) => code))
  const all = [...waited, closed]
  const longest = longestOf(all)
  console.log(`stopped: ${JSON.stringify(counts)}, the longest took ${Math.round(longest)} ms`)
  const { UNAVAILABLE: unavailable = 0, OUTCOME_UNKNOWN: unknown = 0 } = counts
  await ended(database, pids)
  await asSoonAsAvailable(() => store.nodes.create(node('after')))
  return [
    ...(unavailable + unknown === waited.length ? [] : [`they come to ${JSON.stringify(counts)}`]),
    ...(unknown > 0 ? [] : ['nobody was in the middle of it']),
    ...unless('done', [closed]),
    ...lateOf(longest),
    ...(await leftOf(store, 'after')),
  ]
}

const isUnavailable = (error: unknown): boolean => error instanceof StorageError && error.code === 'UNAVAILABLE'

/** Says nothing of what could not be done. */
const keepsQuiet: Mistake = (call) =>
  call().catch((error) => {
    if (!isUnavailable(error)) throw error
  })
/** Knows less than it could. */
const isUnsure: Mistake = (call) =>
  call().catch((error) => {
    throw isUnavailable(error) ? new StorageError('OUTCOME_UNKNOWN', 'It may be there.') : error
  })
/** An answer is waited for as long as nobody may wait. */
const patiently = (url: string): string => {
  const patient = new URL(withTimeouts(url))
  patient.searchParams.set('statement_timeout', String(LONGEST_MS))
  return patient.href
}

describePostgres('a PostgreSQL server that is away', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })
  const faults = watchProcess()

  test('every operation is UNAVAILABLE at once, and works again when the server is back', async () => {
    expect(await whileAway(server, soundly)).toEqual([])
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

  test('calls behind a COMMIT that is never answered are refused or done, and what they say is so', async () => {
    expect(await behindSilence(server, soundly)).toEqual([])
  })

  test('a server that is stopped where it is keeps nobody waiting, however many wait', async () => {
    expect(await whileFrozen(server, withTimeouts)).toEqual([])
    expect(faults()).toEqual([])
    shows(
      'a server that is away, and one that is stopped where it is: nobody waits for long, and nothing refused is there',
    )
  })

  describe('the same tests find', () => {
    test('a store that keeps quiet about what it cannot do', async () => {
      expect(await whileAway(server, keepsQuiet)).toEqual(
        OPERATIONS.map((_, n) => `number ${n}: done, not UNAVAILABLE`),
      )
    })

    test('a store that says of everything that it may have been done', async () => {
      const problems = OPERATIONS.map((_, n) => `number ${n}: OUTCOME_UNKNOWN, not UNAVAILABLE`)
      expect(await whileAway(server, isUnsure)).toEqual(problems)
    })

    test('a store that does twice what was done already', async () => {
      const twice: Mistake = (call) => call().then(call)
      expect(await behindSilence(server, twice)).not.toEqual([])
    })

    test('a store that waits for longer', async () => {
      expect(await whileFrozen(server, patiently)).toEqual([expect.stringMatching(/^it took \d+ ms$/)])
    })
  })
})
