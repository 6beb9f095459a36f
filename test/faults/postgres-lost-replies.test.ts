/** The outcome of each operation whose connection breaks, or falls silent, before or after the server got the message. */
import { beforeAll, describe, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { backendsOf, createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { FAULTS, type Fault, FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { patiently, UNHEEDED_MS, withTimeouts } from '../postgres/support/timeouts.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node } from '../support/samples.ts'
import { type Mistake, mistaken } from './mistaken.ts'
import { shows } from './shown.ts'

/** No limit of the library's own decides, however busy the machine is. */
const PATIENCE = { timeoutMs: 60_000 }

interface Case {
  readonly name: string
  /** A text in the message to be spoiled. */
  readonly message: string
  readonly run: (store: Meshstore) => Promise<unknown>[]
  /** The outcome of every one of its promises. */
  readonly outcome: 'OUTCOME_UNKNOWN' | 'UNAVAILABLE' | 'answered'
  /** The rows that it writes if the server does as it was told. */
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
      }, PATIENCE),
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
    name: 'single writes that were gathered, whose rows have been decoded',
    message: 'COMMIT\0',
    run: (store) => ['together-1', 'together-2', 'together-3'].map((id) => store.nodes.save(node(id))),
    outcome: 'OUTCOME_UNKNOWN',
    writes: ['together-1', 'together-2', 'together-3'],
  },
  {
    name: 'single writes that were gathered, before their COMMIT is sent: they are run again',
    message: 'again-2',
    run: (store) => ['again-1', 'again-2', 'again-3'].map((id) => store.nodes.save(node(id))),
    outcome: 'answered',
    writes: ['again-1', 'again-2', 'again-3'],
  },
  {
    name: 'a single write',
    message: 'COMMIT\0',
    run: (store) => [store.nodes.update('first', { protocols: ['changed'] })],
    outcome: 'OUTCOME_UNKNOWN',
    writes: ['changed'],
  },
  {
    name: 'a single write before its COMMIT is sent, which is run again',
    message: 'saved',
    run: (store) => [store.nodes.save(node('saved'))],
    outcome: 'answered',
    writes: ['saved'],
  },
  {
    name: 'a statement of a transaction',
    message: 'inside-2',
    run: (store) => [
      store.transaction(async (tx) => {
        await tx.nodes.create(node('inside-1'))
        await tx.nodes.create(node('inside-2'))
      }, PATIENCE),
    ],
    outcome: 'UNAVAILABLE',
    writes: [],
  },
  {
    name: 'the beginning of a transaction',
    message: 'BEGIN ISOLATION',
    run: (store) => [store.transaction((tx) => tx.nodes.create(node('never-begun')), PATIENCE)],
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

async function lose(database: TestDatabase, fault: Fault, { message, run }: Case, mistake?: Mistake): Promise<Lost> {
  await using proxy = await FaultyProxy.before(database.url)
  // A limit ends silence alone: where a connection breaks, one would decide on a slow machine.
  const url = fault.startsWith('silent') ? withTimeouts(proxy.url) : patiently(proxy.url)
  await using sound = await openStorage({ url, pool: { max: 2 }, busyTimeoutMs: 60_000 })
  const store = mistake === undefined ? sound : mistaken(sound, mistake)
  // These calls load and prepare what is needed at the first use, on both connections.
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

/** Does all of it to a database of its own, and says what is wrong with what callers were told, and with what is there. */
async function problemsOf(server: PostgresServer, fault: Fault, mistake?: Mistake): Promise<string[]> {
  await using database = await createDatabase(server.url('postgres'))
  const store = await openStorage(database.url)
  await store.nodes.create(node('first'))
  await store.close()

  const lost = await Promise.all(CASES.map((each) => lose(database, fault, each, mistake)))
  const problems: string[] = []
  for (const [index, { name, outcome }] of CASES.entries()) {
    const { injected, outcomes, longestMs } = lost[index] as Lost
    expect(injected, name).toBe(1)
    const others = [...new Set(outcomes)].filter((each) => each !== outcome)
    if (others.length > 0) problems.push(`${name}: ${others}, not ${outcome}`)
    if (longestMs >= UNHEEDED_MS) problems.push(`${name}: it took ${Math.round(longestMs)} ms`)
  }
  // The server may still do what it has read after its client has gone.
  await eventually('all connections have ended', async () => (await backendsOf(database)).length === 0)
  const expected = CASES.filter(({ outcome }) => fault.endsWith('after') || outcome === 'answered').flatMap(
    ({ writes }) => writes,
  )
  const [found, wanted] = [await written(database), expected].map((ids) => ids.toSorted().join() || 'nothing')
  if (found !== wanted) problems.push(`there is ${found}, not ${wanted}`)
  return problems
}

const isUnknown = (error: unknown): boolean => error instanceof StorageError && error.code === 'OUTCOME_UNKNOWN'
const unlessUnknown = (error: unknown): undefined => {
  if (!isUnknown(error)) throw error
}

/** Takes a reply that did not come for one that did. */
const acknowledges: Mistake = (call) => call().catch(unlessUnknown)
/** Does again what may have been done. */
const runsAgain: Mistake = (call) => call().catch((error) => (isUnknown(error) ? call() : Promise.reject(error)))
/** Says of what it does not know that it was not done. */
const denies: Mistake = (call) =>
  call().catch((error) =>
    Promise.reject(isUnknown(error) ? new StorageError('UNAVAILABLE', 'It was not done.') : error),
  )

const UNKNOWN = CASES.filter(({ outcome }) => outcome === 'OUTCOME_UNKNOWN').map(({ name }) => name)

describePostgres('a reply from PostgreSQL that does not come', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })

  test.for(FAULTS)('%s', async (fault) => {
    expect(await problemsOf(server, fault)).toEqual([])
    shows(`${fault}: ${CASES.length} operations, each says what is so`)
  })

  describe('the same test finds a store', () => {
    test('that takes it for granted', async () => {
      const problems = await problemsOf(server, 'reset before', acknowledges)
      expect(problems).toEqual(UNKNOWN.map((name) => `${name}: answered, not OUTCOME_UNKNOWN`))
    })

    test('that writes again, which had not been written', async () => {
      const problems = await problemsOf(server, 'reset before', runsAgain)
      expect(problems.slice(0, -1)).toEqual(UNKNOWN.map((name) => `${name}: answered, not OUTCOME_UNKNOWN`))
      expect(problems.at(-1)).toMatch(/^there is .*committed-1.*, not again-1,again-2,again-3,saved$/)
    })

    test('that writes again, which had been written', async () => {
      const problems = await problemsOf(server, 'reset after', runsAgain)
      const [again, inVain] = [UNKNOWN.slice(-2), UNKNOWN.slice(0, -2)]
      expect(problems).toEqual([
        ...inVain.map((name) => `${name}: ALREADY_EXISTS, not OUTCOME_UNKNOWN`),
        ...again.map((name) => `${name}: answered, not OUTCOME_UNKNOWN`),
      ])
    })

    test('that says that nothing was written', async () => {
      const problems = await problemsOf(server, 'reset after', denies)
      expect(problems).toEqual(UNKNOWN.map((name) => `${name}: UNAVAILABLE, not OUTCOME_UNKNOWN`))
    })
  })
})
