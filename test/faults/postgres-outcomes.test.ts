/** With outcome tokens no caller sees OUTCOME_UNKNOWN: each operation's answer is lost, and it is done once, and says so. */
import { beforeAll, describe, expect, test } from 'vitest'
import { openStorage, type StorageOptions } from '../../src/index.ts'
import { createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { FAULTS, type Fault, FaultyProxy, type Rewrite } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { patiently, withTimeouts } from '../postgres/support/timeouts.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node } from '../support/samples.ts'
import { app, migrations } from '../tables/app/schema.ts'
import { addSite, removeSites } from '../tables/app/statements.ts'
import { LATE_TOKEN, MistakenSource } from './cluster/mistaken-source.ts'
import { shows } from './shown.ts'

const openApp = (url: string, options: Partial<StorageOptions> = {}) =>
  openStorage({ ...options, url, tables: app, migrations })
type App = Awaited<ReturnType<typeof openApp>>

/** The usual limit is for a machine that has time. */
const PATIENCE = { timeoutMs: 60_000 }

interface Case {
  readonly name: string
  /** A text of its first statements. */
  readonly work: string
  readonly prepare?: (store: App) => Promise<unknown>
  readonly run: (store: App) => Promise<unknown>
  /** The result of `run` if it is done once. Done twice, each would return or leave something else. */
  readonly returns: unknown
}

const ids = (nodes: readonly { nodeId: string }[]): string[] => nodes.map(({ nodeId }) => nodeId)

const CASES: readonly Case[] = [
  {
    name: 'a single write',
    work: 'counted',
    prepare: (store) => store.nodes.create(node('counted')),
    run: async (store) => (await store.nodes.recordRoutes('counted')).routesDiscovered,
    returns: 1,
  },
  {
    name: 'gathered writes',
    work: 'gathered-2',
    run: async (store) =>
      ids(await Promise.all(['gathered-1', 'gathered-2', 'gathered-3'].map((id) => store.nodes.create(node(id))))),
    returns: ['gathered-1', 'gathered-2', 'gathered-3'],
  },
  {
    name: 'a delete',
    work: 'deleted',
    prepare: (store) => store.nodes.create(node('deleted')),
    run: (store) => store.nodes.delete('deleted'),
    returns: true,
  },
  {
    name: 'createMany',
    work: 'many-2',
    run: async (store) => ids(await store.nodes.createMany([node('many-1'), node('many-2')])),
    returns: ['many-1', 'many-2'],
  },
  {
    name: 'saveMany',
    work: 'all-2',
    run: async (store) => ids(await store.nodes.saveMany([node('all-1'), node('all-2')])),
    returns: ['all-1', 'all-2'],
  },
  {
    name: 'updateMany',
    work: 'wlan-updated',
    prepare: (store) => store.nodes.create(node('updated', { interfaces: ['wlan-updated'] })),
    run: (store) => store.nodes.updateMany({ interface: 'wlan-updated' }, { interfaces: ['wlan-done'] }),
    returns: 1,
  },
  {
    name: 'a row of an own table',
    work: 'own-1',
    run: async (store) => (await store.tables.sites.create({ siteId: 'own-1', name: 'one' })).siteId,
    returns: 'own-1',
  },
  {
    name: 'a statement of the application',
    work: 'delete from',
    prepare: (store) => store.run(addSite, { siteId: 'site-1', name: 'one' }),
    run: async (store) => (await store.run(removeSites)).changes,
    returns: 1,
  },
  {
    name: 'deleteMany',
    work: 'wlan-deleted',
    prepare: (store) =>
      store.nodes.createMany([1, 2].map((at) => node(`gone-${at}`, { interfaces: ['wlan-deleted'] }))),
    run: (store) => store.nodes.deleteMany({ interface: 'wlan-deleted' }),
    returns: 2,
  },
  {
    name: 'a transaction',
    work: 'moved',
    prepare: (store) => store.nodes.createMany([node('moved'), node('other')]),
    run: (store) =>
      store.transaction(async (tx) => {
        // The token goes with the savepoint, and has to come again.
        await tx
          .transaction(async (nested) => {
            await nested.nodes.recordRoutes('moved', 50)
            throw new Error('not this')
          })
          .catch(() => {})
        const moved = await tx.nodes.recordRoutes('moved')
        await expect(tx.nodes.create(node('moved'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
        const other = await tx.nodes.recordRoutes('other', moved.routesDiscovered)
        return [moved.routesDiscovered, other.routesDiscovered]
      }, PATIENCE),
    returns: [1, 1],
  },
]

interface Lost {
  readonly injected: number
  readonly outcome: unknown
}

async function lose(
  database: TestDatabase,
  { fault, at }: { fault: Fault; at: string },
  { prepare, run }: Case,
  { rewrite, ...options }: Partial<StorageOptions> & { rewrite?: Rewrite } = {},
): Promise<Lost> {
  await using proxy = await FaultyProxy.before(database.url, rewrite)
  // A limit ends silence alone.
  const url = fault.startsWith('silent') ? withTimeouts(proxy.url) : patiently(proxy.url)
  await using store = await openApp(url, { pool: { max: 2 }, outcomeTokens: true, busyTimeoutMs: 60_000, ...options })
  await prepare?.(store)
  await store.nodes.save(node('warm-up'))
  proxy.arm(fault, at)
  const outcome = await run(store).catch((error) => error.code ?? error)
  if (rewrite !== undefined) expect(proxy.rewritten).toBeGreaterThan(0)
  return { injected: proxy.injected, outcome }
}

const open = (database: TestDatabase) => openApp(database.url).then((store) => store.close())

describePostgres('an answer to a COMMIT that does not come', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })

  describe.for(FAULTS)('%s', (fault) => {
    test.for(['COMMIT', 'the work'])('at %s, each operation is done once', async (place) => {
      const done = await Promise.all(
        CASES.map(async (each) => {
          await using database = await createDatabase(server.url('postgres'))
          await open(database)
          const at = place === 'COMMIT' ? 'COMMIT\0' : each.work
          const { injected, outcome } = await lose(database, { fault, at }, each)
          expect(injected, each.name).toBe(1)
          const rows = await database.query("SELECT node_id, routes_discovered FROM nodes WHERE node_id <> 'warm-up'")
          return { name: each.name, outcome, rows: rows.length }
        }),
      )
      expect(done.map(({ name, outcome }) => [name, outcome])).toEqual(
        CASES.map(({ name, returns }) => [name, returns]),
      )
      shows(`${fault} at ${place}: ${CASES.length} operations, each done once`)
    })
  })

  test.each([
    [
      'a claim that does not see the token',
      'DO UPDATE SET written_at = excluded.written_at RETURNING',
      'DO NOTHING RETURNING',
    ],
    ['a token that is not in the transaction', "(token, state) VALUES ($1, 'done')", '(token) SELECT $1::text LIMIT 0'],
  ])('%s does the work twice', async (_, from, to) => {
    await using database = await createDatabase(server.url('postgres'))
    await open(database)
    const rewrite = { from, to: to.padEnd(from.length) }
    const lost = { fault: 'reset after', at: 'COMMIT\0' } as const
    expect(await lose(database, lost, CASES[0] as Case, { rewrite })).toEqual({ injected: 1, outcome: 2 })
  })

  /** Its COMMIT arrives when the outcome was decided, and the tokens were swept. Returns how often the work was done. */
  async function arrivesLate(open: typeof openStorage): Promise<number> {
    await using database = await createDatabase(server.url('postgres'))
    await using proxy = await FaultyProxy.before(database.url)
    await using store = await open({ url: proxy.url, outcomeTokens: true })
    await store.nodes.create(node('warm-up'))
    const late = proxy.late('COMMIT\0')
    // Each attempt creates another row, as an order with an id of its own.
    const created = store.transaction((tx) => tx.nodes.create(node(crypto.randomUUID())), PATIENCE)
    await late.reached
    const { nodeId } = await created
    // As the sweep does after twice failoverMs.
    await database.query('DELETE FROM meshstore_outcomes')
    await late.deliver()
    const rows = await database.query<{ id: string }>("SELECT node_id AS id FROM nodes WHERE node_id <> 'warm-up'")
    expect(rows.map(({ id }) => id)).toContain(nodeId)
    expect(proxy.injected).toBe(1)
    return rows.length
  }

  test('a COMMIT that arrives after its outcome was decided changes nothing', async () => {
    expect(await arrivesLate(openStorage)).toBe(1)
  })

  test('a token in the packet of COMMIT does the work twice', async () => {
    using copy = new MistakenSource(LATE_TOKEN)
    const mistaken: { openStorage: typeof openStorage } = await import(`${copy.root}/src/index.ts`)
    expect(await arrivesLate(mistaken.openStorage)).toBe(2)
  })

  test('without tokens, all callers of a batch that was cut are told that its outcome is unknown', async () => {
    await using database = await createDatabase(server.url('postgres'))
    await open(database)
    const gathered: Case = {
      ...(CASES[1] as Case),
      run: async (store) => {
        const calls = ['1', '2', '3'].map((id) => store.nodes.save(node(`told-${id}`)))
        return (await Promise.allSettled(calls)).map((each) => each.status === 'rejected' && each.reason.code)
      },
    }
    const { outcome } = await lose(database, { fault: 'reset after', at: 'COMMIT\0' }, gathered, {
      outcomeTokens: false,
    })
    expect(outcome).toEqual(['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN'])
  })

  test("tokens are swept after twice failoverMs, by the server's clock", async () => {
    await using database = await createDatabase(server.url('postgres'))
    await using store = await openStorage({ url: database.url, outcomeTokens: true })
    await store.nodes.create(node('swept'))
    await database.query('UPDATE meshstore_outcomes SET written_at = written_at - 61')
    const old = async (): Promise<number> =>
      (await database.query('SELECT 1 FROM meshstore_outcomes WHERE written_at < extract(epoch FROM now()) - 60'))
        .length
    expect(await old()).toBe(1)
    await eventually(
      'it is swept',
      async () => {
        await store.nodes.recordRoutes('swept')
        return (await old()) === 0
      },
      60_000,
    )
    expect((await database.query('SELECT 1 FROM meshstore_outcomes')).length).toBeGreaterThan(1)
  })
})
