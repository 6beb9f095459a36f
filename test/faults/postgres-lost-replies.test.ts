/** What each operation says when its connection breaks, or falls silent, before or after the server got the message. */
import { beforeAll, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { backendsOf, createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { FAULTS, type Fault, FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { LONGEST_MS, withTimeouts } from '../postgres/support/timeouts.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node } from '../support/samples.ts'

interface Case {
  readonly name: string
  /** What the message to be spoiled holds. */
  readonly message: string
  readonly run: (store: Meshstore) => Promise<unknown>[]
  /** What every one of its promises comes to. */
  readonly outcome: 'OUTCOME_UNKNOWN' | 'UNAVAILABLE' | 'answered'
  /** What it writes if the server does as it was told. */
  readonly writes: readonly string[]
}

const CASES: readonly Case[] = [
  {
    name: 'the COMMIT of a transaction',
    message: 'COMMIT\0',
    run: (store) => [
      store.transaction(async (tx) => {
        await tx.nodes.create(node('committed-1'))
        await tx.nodes.create(node('committed-2'))
      }),
    ],
    outcome: 'OUTCOME_UNKNOWN',
    writes: ['committed-1', 'committed-2'],
  },
  {
    name: 'the COMMIT of many rows',
    message: 'COMMIT\0',
    run: (store) => [store.nodes.createMany([node('many-1'), node('many-2')])],
    outcome: 'OUTCOME_UNKNOWN',
    writes: ['many-1', 'many-2'],
  },
  {
    name: 'single writes that were gathered',
    message: 'gathered-1',
    run: (store) => ['gathered-1', 'gathered-2', 'gathered-3'].map((id) => store.nodes.create(node(id))),
    outcome: 'OUTCOME_UNKNOWN',
    writes: ['gathered-1', 'gathered-2', 'gathered-3'],
  },
  {
    name: 'a single write',
    message: 'changed',
    run: (store) => [store.nodes.update('first', { protocols: ['changed'] })],
    outcome: 'OUTCOME_UNKNOWN',
    writes: ['changed'],
  },
  {
    name: 'a statement of a transaction',
    message: 'inside-2',
    run: (store) => [
      store.transaction(async (tx) => {
        await tx.nodes.create(node('inside-1'))
        await tx.nodes.create(node('inside-2'))
      }),
    ],
    outcome: 'UNAVAILABLE',
    writes: [],
  },
  {
    name: 'the beginning of a transaction',
    message: 'BEGIN ISOLATION',
    run: (store) => [store.transaction((tx) => tx.nodes.create(node('never-begun')))],
    outcome: 'UNAVAILABLE',
    writes: [],
  },
  {
    name: 'a read',
    message: 'first',
    run: (store) => [store.nodes.get('first').then((found) => expect(found?.nodeId).toBe('first'))],
    outcome: 'answered',
    writes: [],
  },
]

/** Everything that the cases may write. */
async function written(database: TestDatabase): Promise<string[]> {
  const rows = await database.query<{ id: string }>(`
    SELECT node_id AS id FROM nodes WHERE node_id NOT IN ('first', 'warm-up')
    UNION ALL SELECT jsonb_array_elements_text(protocols) FROM nodes WHERE node_id = 'first'`)
  return rows.map(({ id }) => id).filter((id) => id !== 'batman-adv')
}

interface Lost {
  readonly injected: number
  readonly outcomes: string[]
  readonly longestMs: number
}

async function lose(database: TestDatabase, fault: Fault, { message, run }: Case): Promise<Lost> {
  await using proxy = await FaultyProxy.before(database.url)
  await using store = await openStorage({ url: withTimeouts(proxy.url), pool: { max: 2 } })
  // What is loaded and prepared on first use is, on one connection and on the other.
  await Promise.all([store.nodes.get('first'), store.nodes.get('first')])
  await store.nodes.save(node('warm-up'))
  proxy.arm(fault, message)
  const begun = performance.now()
  let longestMs = 0
  const outcomes = await Promise.all(
    run(store).map(async (promise) => {
      const outcome = await promise.then(() => 'answered', codeOf)
      longestMs = Math.max(longestMs, performance.now() - begun)
      return outcome
    }),
  )
  return { injected: proxy.injected, outcomes, longestMs }
}

function codeOf(error: unknown): string {
  if (error instanceof StorageError) return error.code
  throw error
}

describePostgres('a reply from PostgreSQL that does not come', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })

  test.for(FAULTS)('%s', async (fault) => {
    await using database = await createDatabase(server.url('postgres'))
    const store = await openStorage(database.url)
    await store.nodes.create(node('first'))
    await store.close()

    const lost = await Promise.all(CASES.map((each) => lose(database, fault, each)))
    for (const [index, { name, outcome }] of CASES.entries()) {
      expect(lost[index]?.injected, name).toBe(1)
      expect([...new Set(lost[index]?.outcomes)], name).toEqual([outcome])
      expect(lost[index]?.longestMs, name).toBeLessThan(LONGEST_MS)
    }
    // What a server has read may be done after its client has gone.
    await eventually('all connections have ended', async () => (await backendsOf(database)).length === 0)
    const expected = fault.endsWith('after') ? CASES.flatMap(({ writes }) => writes) : []
    expect((await written(database)).toSorted()).toEqual(expected.toSorted())
  })
})
