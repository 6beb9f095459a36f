/**
 * Connections that break at each packet: before it, in its middle, behind it, and in the middle of its answer. Each call says what is
 * so: an acknowledged one is there, a refused one is not, one of an unknown outcome is there as a whole or not at all.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { backendsOf, createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { CUTS, type Cut, FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { bound } from '../support/bounds.ts'
import { node } from '../support/samples.ts'
import { type Mistake, mistaken } from './mistaken.ts'
import { shows } from './shown.ts'

/** Each node's counter. A node that is not listed is not there. */
type Nodes = Readonly<Record<string, number>>

interface Made {
  readonly promise: Promise<unknown>
  /** The call's writes to its nodes: `undefined` where it deletes. */
  readonly writes: Readonly<Record<string, number | undefined>>
  /** The code of a call that is answered by a refusal. */
  readonly refused?: string
}

/** Before each operation there are the nodes `there-1` to `there-3`, with a count of 0. `id` makes names unique. */
type Operation = (store: Meshstore, id: (name: string) => string) => Made[]

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'a single write': ({ nodes }, id) => [{ promise: nodes.recordRoutes(id('there-1')), writes: { [id('there-1')]: 1 } }],
  'a create': ({ nodes }, id) => [{ promise: nodes.create(node(id('new'))), writes: { [id('new')]: 0 } }],
  'a delete': ({ nodes }, id) => [{ promise: nodes.delete(id('there-1')), writes: { [id('there-1')]: undefined } }],
  'an update that finds no row': ({ nodes }, id) => [
    { promise: nodes.update(id('absent'), { started: true }), writes: {}, refused: 'NOT_FOUND' },
  ],
  'gathered writes': ({ nodes }, id) => [
    { promise: nodes.recordRoutes(id('there-1')), writes: { [id('there-1')]: 1 } },
    { promise: nodes.save(node(id('saved'))), writes: { [id('saved')]: 0 } },
    { promise: nodes.create(node(id('there-2'))), writes: {}, refused: 'ALREADY_EXISTS' },
    { promise: nodes.delete(id('there-3')), writes: { [id('there-3')]: undefined } },
    { promise: nodes.update(id('absent'), { started: true }), writes: {}, refused: 'NOT_FOUND' },
  ],
  'gathered creates': ({ nodes }, id) =>
    ['a', 'b', 'c'].map((name) => ({ promise: nodes.create(node(id(name))), writes: { [id(name)]: 0 } })),
  createMany: ({ nodes }, id) => [
    {
      promise: nodes.createMany(['a', 'b'].map((name) => node(id(name)))),
      writes: { [id('a')]: 0, [id('b')]: 0 },
    },
  ],
  'saveMany of two slices': ({ nodes }, id) => {
    const ids = Array.from({ length: 501 }, (_, at) => id(`many-${at}`))
    return [
      {
        promise: nodes.saveMany(ids.map((each) => node(each))),
        writes: Object.fromEntries(ids.map((each) => [each, 0])),
      },
    ]
  },
  'a transaction': (store, id) => [
    {
      promise: store.transaction(
        async (tx) => {
          await tx.nodes.recordRoutes(id('there-1'), 2)
          await tx.transaction((nested) => nested.nodes.create(node(id('nested'))))
          await tx.nodes.create(node(id('there-2'))).catch(() => {})
          await tx.nodes.delete(id('there-3'))
        },
        { timeoutMs: 60_000 },
      ),
      writes: { [id('there-1')]: 2, [id('nested')]: 0, [id('there-3')]: undefined },
    },
  ],
}

let trials = 0
/** Most packets of an operation, of which each is cut. */
const MOST_PACKETS = 40

interface Seen {
  readonly outcomes: Map<string, number>
  readonly problems: string[]
}

class Trial {
  readonly #database: TestDatabase
  readonly #proxy: FaultyProxy
  readonly #store: Meshstore
  readonly #seen: Seen

  constructor(database: TestDatabase, proxy: FaultyProxy, store: Meshstore, seen: Seen) {
    this.#database = database
    this.#proxy = proxy
    this.#store = store
    this.#seen = seen
  }

  /** Cuts the operation's packet after `passed` others. Returns whether there was one. */
  async cut(name: string, operation: Operation, cut: Cut, passed: number): Promise<boolean> {
    const prefix = `t${trials++}-`
    const id = (each: string): string => prefix + each
    const before = Object.fromEntries(['there-1', 'there-2', 'there-3'].map((each) => [id(each), 0]))
    await this.#database.query(
      `INSERT INTO nodes SELECT id, '[]', '[]', false, 0, 1, 1 FROM unnest($1::text[]) AS id`,
      [Object.keys(before)],
    )
    // Reads open connections in the place of those that were cut.
    await Promise.all([this.#store.nodes.count(), this.#store.nodes.count()])
    const injected = this.#proxy.injected
    const giveUp = this.#proxy.cut(cut, passed)
    const calls = operation(this.#store, id)
    const outcomes = await Promise.all(calls.map(({ promise }) => promise.then(() => 'answered', codeOf)))
    giveUp()
    if (this.#proxy.injected === injected) return false
    // The server may still do what it has read.
    await eventually(
      'connections that were cut have ended',
      async () => {
        return (await backendsOf(this.#database)).length <= this.#proxy.connections
      },
      60_000,
    )
    const after = await this.#nodes(prefix)
    for (const [at, call] of calls.entries())
      this.#judge(`${name}, ${cut} packet ${passed}`, call, outcomes[at], { before, after })
    return true
  }

  #judge(
    where: string,
    { writes, refused }: Made,
    outcome = '',
    { before, after }: { before: Nodes; after: Nodes },
  ): void {
    const { outcomes, problems } = this.#seen
    const done = Object.entries(writes).every(([id, count]) => after[id] === count)
    const undone = Object.keys(writes).every((id) => after[id] === before[id])
    const answered = refused ?? 'answered'
    const isSo =
      outcome === answered ? done : outcome === 'OUTCOME_UNKNOWN' ? done || undone : outcome === 'UNAVAILABLE' && undone
    if (!isSo) problems.push(`${where}: ${outcome}, ${done ? 'done' : undone ? 'not done' : 'half done'}`)
    const kind = outcome === 'OUTCOME_UNKNOWN' ? `${outcome}, ${done ? 'done' : 'not done'}` : outcome
    outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1)
  }

  async #nodes(prefix: string): Promise<Nodes> {
    const rows = await this.#database.query<{ node_id: string; routes_discovered: number }>(
      'SELECT node_id, routes_discovered FROM nodes WHERE starts_with(node_id, $1)',
      [prefix],
    )
    return Object.fromEntries(rows.map((row) => [row.node_id, row.routes_discovered]))
  }
}

function codeOf(error: unknown): string {
  if (error instanceof StorageError) return error.code
  throw error
}

async function cutAll(
  database: TestDatabase,
  {
    outcomeTokens,
    rounds = 1,
    operations = Object.keys(OPERATIONS),
  }: { outcomeTokens: boolean; rounds?: number; operations?: readonly string[] },
  mistake?: Mistake,
): Promise<Seen> {
  const seen: Seen = { outcomes: new Map(), problems: [] }
  await using proxy = await FaultyProxy.before(database.url)
  await using sound = await openStorage({ url: proxy.url, pool: { max: 2 }, outcomeTokens })
  const store = mistake === undefined ? sound : mistaken(sound, mistake)
  const trial = new Trial(database, proxy, store, seen)
  for (let round = 0; round < rounds; round++)
    for (const name of operations)
      for (const cut of CUTS)
        for (let passed = 0; await trial.cut(name, OPERATIONS[name] as Operation, cut, passed); passed++)
          expect(passed).toBeLessThan(MOST_PACKETS)
  return seen
}

const shown = ({ outcomes }: Seen): string =>
  [...outcomes.entries()]
    .map(([outcome, count]) => `${outcome} ${count}`)
    .toSorted()
    .join(', ')

describePostgres('a connection that is cut at each packet', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase()
    await (await openStorage(database.url)).close()
    return () => database[Symbol.asyncDispose]()
  })
  const rounds = bound('CUT_ROUNDS', { brief: 1, short: 1, long: 100 })

  test('each call says what is so', async () => {
    const seen = await cutAll(database, { outcomeTokens: false, rounds })
    expect(seen.problems).toEqual([])
    for (const outcome of ['answered', 'UNAVAILABLE', 'OUTCOME_UNKNOWN, done', 'OUTCOME_UNKNOWN, not done'])
      expect(seen.outcomes.get(outcome), outcome).toBeGreaterThan(0)
    shows(`cuts: ${shown(seen)}`)
  })

  test('with outcome tokens no outcome is unknown', async () => {
    const seen = await cutAll(database, { outcomeTokens: true, rounds })
    expect(seen.problems).toEqual([])
    expect([...seen.outcomes.keys()].toSorted()).toEqual(['ALREADY_EXISTS', 'NOT_FOUND', 'answered'])
    shows(`cuts with outcome tokens: ${shown(seen)}`)
  })

  describe('the same test finds a store', () => {
    const on = { outcomeTokens: false, operations: ['a single write'] }
    const isUnknown = (error: unknown): boolean => error instanceof StorageError && error.code === 'OUTCOME_UNKNOWN'

    test('that takes a lost answer for an acknowledgement', async () => {
      const acknowledges: Mistake = (call) =>
        call().catch((error) => (isUnknown(error) ? undefined : Promise.reject(error)))
      const { problems } = await cutAll(database, on, acknowledges)
      expect(problems).toContain('a single write, before packet 1: answered, not done')
    })

    test('that takes a lost answer for a refusal', async () => {
      const denies: Mistake = (call) =>
        call().catch((error) => Promise.reject(isUnknown(error) ? new StorageError('UNAVAILABLE', 'Not done.') : error))
      const { problems } = await cutAll(database, on, denies)
      expect(problems).toContain('a single write, after packet 1: UNAVAILABLE, done')
    })
  })
})
