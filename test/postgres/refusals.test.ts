/** A statement that the server refuses inside a transaction is undone alone, as on SQLite: the transaction goes on. */
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type Meshstore,
  openStorage,
  type Repositories,
  type StorageErrorCode,
  type StorageOptions,
  type Transaction,
} from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { assertProperty } from '../support/properties.ts'
import { bundle, manyNodes, node, numbered, pathKey, policy } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { backendsOf, createDatabase, type TestDatabase } from './support/database.ts'
import { eventually } from './support/eventually.ts'
import { FaultyProxy } from './support/proxy.ts'
import { refuseInDetail } from './support/refusing.ts'
import { describePostgres } from './support/suite.ts'
import { SwappingProxy } from './support/swapping-proxy.ts'
import { withTimeouts } from './support/timeouts.ts'

/** A value that another program's trigger refuses. */
const BAD = 'bad-P0001'

/** Further values that another program's constraints and triggers refuse. */
const FOREIGN = `
  ALTER TABLE nodes ADD CONSTRAINT few_routes CHECK (routes_discovered < 100);
  CREATE UNIQUE INDEX one_tunnel ON nodes ((interfaces->>0)) WHERE interfaces->>0 LIKE 'tun%';
  CREATE TABLE regions (name text PRIMARY KEY);
  ALTER TABLE path_cache ADD COLUMN region text REFERENCES regions;
  ALTER TABLE policies ADD CONSTRAINT few_rules CHECK (rules_count < 3);
  CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.region = 'elsewhere'; RETURN NEW; END $$;
  CREATE TRIGGER elsewhere BEFORE INSERT OR UPDATE ON path_cache
    FOR EACH ROW WHEN (NEW.destination = 'elsewhere') EXECUTE FUNCTION elsewhere();
  CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'kept'; END $$;
  CREATE TRIGGER keep BEFORE DELETE ON nodes
    FOR EACH ROW WHEN (OLD.node_id LIKE 'keep-%') EXECUTE FUNCTION keep();
  CREATE TRIGGER keep BEFORE DELETE ON path_cache
    FOR EACH ROW WHEN (OLD.source LIKE 'keep-%') EXECUTE FUNCTION keep()`

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
  await (await openStorage(database.url)).close()
  await refuseInDetail(database)
  await database.query(FOREIGN)
})
afterEach(() => database[Symbol.asyncDispose]())

const idsOf = async ({ nodes }: Repositories): Promise<string[]> =>
  (await nodes.list({ limit: 1_000 })).map(({ nodeId }) => nodeId)

type Refused = readonly [what: string, code: StorageErrorCode, write: (tx: Transaction) => Promise<unknown>]
const REFUSED: readonly Refused[] = [
  ['nodes.create, by a trigger', 'CONFLICT', ({ nodes }) => nodes.create(node(BAD))],
  ['nodes.save, by a trigger', 'CONFLICT', ({ nodes }) => nodes.save(node(BAD))],
  [
    'nodes.create, by a unique index',
    'ALREADY_EXISTS',
    ({ nodes }) => nodes.create(node('c', { interfaces: ['tun0'] })),
  ],
  ['nodes.update, by a unique index', 'ALREADY_EXISTS', ({ nodes }) => nodes.update('A', { interfaces: ['tun0'] })],
  ['nodes.update, by a check', 'CORRUPT', ({ nodes }) => nodes.update('A', { routesDiscovered: 100 })],
  ['nodes.recordRoutes, by a check', 'CORRUPT', ({ nodes }) => nodes.recordRoutes('A', 100)],
  ['nodes.delete, by a trigger', 'CONFLICT', ({ nodes }) => nodes.delete('keep-me')],
  ['policies.create, by a trigger', 'CONFLICT', ({ policies }) => policies.create(policy(BAD))],
  [
    'policies.update, by a check',
    'CORRUPT',
    ({ policies }) => policies.update('P', { yamlContent: 'rules: [1, 2, 3]' }),
  ],
  ['pathCache.set, by a trigger', 'CONFLICT', ({ pathCache }) => pathCache.set(pathKey(BAD, 'b'), bundle(BAD, 'b'))],
  [
    'pathCache.set, by a foreign key',
    'CONFLICT',
    ({ pathCache }) => pathCache.set(pathKey('a', 'elsewhere'), bundle('a', 'elsewhere')),
  ],
  ['pathCache.invalidate, by a trigger', 'CONFLICT', ({ pathCache }) => pathCache.invalidate({ source: 'keep-me' })],
  ['nodes.createMany, in its first slice', 'CONFLICT', ({ nodes }) => nodes.createMany([node('m'), node(BAD)])],
  [
    'nodes.createMany, in its second slice',
    'CONFLICT',
    ({ nodes }) => nodes.createMany([...manyNodes(700), node(BAD), ...manyNodes(500, 'later')]),
  ],
  ['nodes.saveMany, in its second slice', 'CONFLICT', ({ nodes }) => nodes.saveMany([...manyNodes(700), node(BAD)])],
  [
    'pathCache.setMany',
    'CONFLICT',
    ({ pathCache }) =>
      pathCache.setMany(['a', BAD].map((source) => ({ key: pathKey(source, 'z'), bundle: bundle(source, 'z') }))),
  ],
]

/** The ways to the server. */
type Way = readonly [name: string, open: () => Promise<{ store: Meshstore; close: () => Promise<void> }>]
const direct = (options: Omit<StorageOptions, 'url'>) => async () => {
  const store = await openStorage({ url: database.url, ...options })
  return { store, close: () => store.close() }
}
const WAYS: readonly Way[] = [
  ['many connections', direct({})],
  ['one connection', direct({ pool: { max: 1 } })],
  ["the pool's transaction mode", direct({ pool: { mode: 'transaction' } })],
  [
    'a proxy that swaps the sessions',
    async () => {
      const proxy = await SwappingProxy.before(database.url, { sessions: 2, startupOptions: 'refused' })
      const store = await openStorage({ url: proxy.url, pool: { mode: 'transaction', max: 1 } })
      const close = async (): Promise<void> => {
        await store.close()
        await proxy[Symbol.asyncDispose]()
      }
      return { store, close }
    },
  ],
]

describePostgres('a write that the server refuses inside a transaction', () => {
  test.for(WAYS)('is undone alone, whatever it was: %s', async ([, open]) => {
    const { store, close } = await open()
    try {
      for (const [what, code, write] of REFUSED) {
        await database.query(
          "TRUNCATE nodes, policies, path_cache; INSERT INTO regions VALUES ('here') ON CONFLICT DO NOTHING",
        )
        await store.nodes.createMany([node('keep-me'), node('tunnel', { interfaces: ['tun0'] })])
        await store.pathCache.set(pathKey('keep-me', 'b'), bundle('keep-me', 'b'))
        await store.transaction(async (tx) => {
          await tx.nodes.create(node('A', { routesDiscovered: 7 }))
          await tx.policies.create(policy('P'))
          await expectCode(write(tx), code)
          expect(await idsOf(tx), what).toEqual(['A', 'keep-me', 'tunnel'])
          expect((await tx.pathCache.stats()).entries, what).toBe(1)
          await tx.nodes.create(node('C'))
          await tx.nodes.recordRoutes('A')
        })
        expect(await idsOf(store), what).toEqual(['A', 'C', 'keep-me', 'tunnel'])
        expect(await store.nodes.get('A'), what).toMatchObject({ routesDiscovered: 8, interfaces: ['eth0', 'wlan0'] })
        expect(await store.policies.list(), what).toMatchObject([{ policyId: 'P', rulesCount: 2 }])
        expect((await store.pathCache.stats()).entries, what).toBe(1)
      }
    } finally {
      await close()
    }
  })

  test.for(WAYS)('is undone alone in a savepoint, and each savepoint goes its own way: %s', async ([, open]) => {
    const { store, close } = await open()
    const refused = (tx: Transaction): Promise<unknown> => expectCode(tx.nodes.create(node(BAD)), 'CONFLICT')
    try {
      await store.transaction(async (tx) => {
        await refused(tx)
        await tx.nodes.create(node('1'))
        await tx.transaction(async (inner) => {
          await refused(inner)
          await inner.nodes.create(node('2'))
          await refused(inner)
          await inner.nodes.create(node('3'))
          await expect(
            inner.transaction(async (innermost) => {
              await innermost.nodes.create(node('undone'))
              await refused(innermost)
              throw new RangeError('my own')
            }),
          ).rejects.toThrow(RangeError)
          await refused(inner)
        })
        await refused(tx)
        await tx.nodes.create(node('4'))
        await expectCode(
          tx.transaction(async (inner) => {
            await inner.nodes.create(node('undone'))
            await inner.nodes.create(node(BAD))
          }),
          'CONFLICT',
        )
        await refused(tx)
        expect(await idsOf(tx)).toEqual(['1', '2', '3', '4'])
        await tx.nodes.create(node('5'))
      })
      expect(await idsOf(store)).toEqual(['1', '2', '3', '4', '5'])
    } finally {
      await close()
    }
  })

  test('undoes everything where nobody catches it', async () => {
    await using store = await openStorage(database.url)
    await expectCode(
      store.transaction(async (tx) => {
        await tx.nodes.create(node('A'))
        await tx.nodes.create(node(BAD))
      }),
      'CONFLICT',
    )
    expect(await idsOf(store)).toEqual([])
  })

  test('leaves those alone that are called at the same time, and their order', async () => {
    await using store = await openStorage(database.url)
    await store.transaction(async (tx) => {
      const calls = Array.from({ length: 30 }, (_, turn) => tx.nodes.create(node(turn % 3 === 1 ? BAD : `n-${turn}`)))
      const read = tx.nodes.count()
      const outcomes = await Promise.allSettled(calls)
      for (const [turn, { status }] of outcomes.entries())
        expect(status).toBe(turn % 3 === 1 ? 'rejected' : 'fulfilled')
      expect(await read).toBe(20)
    })
    expect(await store.nodes.count()).toBe(20)
  })

  test('is no reason to run the transaction again, and leaves its connection as it was', async () => {
    await using store = await openStorage({ url: database.url, pool: { max: 1 } })
    await store.nodes.count()
    const pids = await backendsOf(database)
    let runs = 0
    for (let round = 0; round < 5; round++) {
      await store.transaction(async (tx) => {
        runs++
        await expectCode(tx.nodes.create(node(BAD)), 'CONFLICT')
        await tx.nodes.create(node(`n-${round}`))
      })
    }
    expect(runs).toBe(5)
    expect(await store.nodes.count()).toBe(5)
    expect(await backendsOf(database)).toEqual(pids)
  })

  test('does not let the transaction see another moment than before', async () => {
    await using store = await openStorage(database.url)
    await store.transaction(async (tx) => {
      await expectCode(tx.nodes.create(node(BAD)), 'CONFLICT')
      await database.query(`INSERT INTO policies (policy_id, yaml_content, rules_count, created_at, updated_at)
        VALUES ('later', '', 0, 0, 0)`)
      expect(await tx.policies.count()).toBe(0)
    })
    expect(await store.policies.count()).toBe(1)
  })

  test('may be one of 1,000', async () => {
    await using store = await openStorage(database.url)
    await store.transaction(
      async (tx) => {
        for (let turn = 0; turn < 1_000; turn++) {
          await tx.nodes.create(node(numbered('n', turn)))
          if (turn % 100 === 50) await expectCode(tx.nodes.save(node(BAD)), 'CONFLICT')
        }
      },
      { timeoutMs: 30_000 },
    )
    expect(await store.nodes.count()).toBe(1_000)
  })

  test('and that the server gave up on is undone alone, too', async () => {
    await database.query(`
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
      CREATE TRIGGER slow BEFORE INSERT ON nodes FOR EACH ROW WHEN (NEW.node_id = 'slow') EXECUTE FUNCTION slow()`)
    const url = new URL(database.url)
    url.searchParams.set('statement_timeout', '200')
    await using store = await openStorage(url.href)
    await store.transaction(
      async (tx) => {
        await tx.nodes.create(node('A'))
        await expectCode(tx.nodes.create(node('slow')), 'TIMEOUT')
        await tx.nodes.create(node('C'))
      },
      { timeoutMs: 30_000 },
    )
    expect(await idsOf(store)).toEqual(['A', 'C'])
  })

  test('is undone alone in whatever order things happen', async () => {
    await using store = await openStorage(database.url)
    await assertProperty(
      'refusals in transactions',
      fc.asyncProperty(program, async (steps) => {
        await database.query('TRUNCATE nodes')
        const expected = new Set<string>()
        await store.transaction((tx) => perform(tx, steps, expected), { timeoutMs: 30_000 })
        expect(await idsOf(store)).toEqual([...expected].toSorted())
      }),
      { runs: 60 },
    )
  })
})

type Single = 'write' | 'delete' | 'refused' | 'read'
interface Bulk {
  readonly kind: 'bulk'
  readonly refused: boolean
}
interface Savepoint {
  readonly kind: 'savepoint'
  readonly steps: readonly Step[]
  readonly undone: boolean
}
type Step = { readonly kind: Single } | Bulk | Savepoint

const { program } = fc.letrec<{ program: Step[] }>((tie) => ({
  program: fc.array(
    fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record({ kind: fc.constantFrom<Single[]>('write', 'delete', 'refused', 'read') }),
      fc.record({ kind: fc.constant('bulk' as const), refused: fc.boolean() }),
      fc.record({ kind: fc.constant('savepoint' as const), steps: tie('program'), undone: fc.boolean() }),
    ),
    { maxLength: 8, depthIdentifier: 'savepoint' },
  ),
}))

class Undone extends Error {}

/** Does it, and the same on `rows`. */
async function perform(tx: Transaction, steps: readonly Step[], rows: Set<string>, path = 'n'): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const id = `${path}-${index}`
    if (step.kind === 'savepoint') await performInside(tx, step, rows, id)
    else if (step.kind === 'bulk') await performBulk(tx, step, rows, id)
    else await ONE[step.kind](tx, rows, id)
  }
}

const ONE: Readonly<Record<Single, (tx: Transaction, rows: Set<string>, id: string) => Promise<void>>> = {
  write: async (tx, rows, id) => {
    await tx.nodes.create(node(id))
    rows.add(id)
  },
  delete: async (tx, rows) => {
    const [first = 'none'] = rows
    expect(await tx.nodes.delete(first)).toBe(rows.delete(first))
  },
  refused: async (tx) => {
    await expectCode(tx.nodes.create(node(BAD)), 'CONFLICT')
  },
  read: async (tx, rows) => {
    expect(await idsOf(tx)).toEqual([...rows].toSorted())
  },
}

async function performBulk(tx: Transaction, { refused }: Bulk, rows: Set<string>, id: string): Promise<void> {
  const ids = [`${id}-a`, `${id}-b`]
  const writing = tx.nodes.createMany([...ids, ...(refused ? [BAD] : [])].map((each) => node(each)))
  if (refused) await expectCode(writing, 'CONFLICT')
  else for (const { nodeId } of await writing) rows.add(nodeId)
}

async function performInside(tx: Transaction, { steps, undone }: Savepoint, rows: Set<string>, id: string) {
  const inside = new Set(rows)
  const unit = tx.transaction(async (inner) => {
    await perform(inner, steps, inside, id)
    if (undone) throw new Undone()
  })
  if (undone) return expect(unit).rejects.toThrow(Undone)
  await unit
  rows.clear()
  for (const each of inside) rows.add(each)
}

describePostgres('a read that the server refuses inside a transaction', () => {
  test('leaves it usable', async () => {
    await using store = await openStorage(database.url)
    await database.query('ALTER TABLE policies RENAME TO moved')
    await store.transaction(async (tx) => {
      await expectCode(tx.policies.get('P'), 'SCHEMA_MISMATCH')
      await tx.nodes.create(node('A'))
      await expectCode(tx.policies.list(), 'SCHEMA_MISMATCH')
      await tx.nodes.create(node('C'))
    })
    expect(await idsOf(store)).toEqual(['A', 'C'])
    await store.transaction(
      async (tx) => {
        await expectCode(tx.policies.get('P'), 'SCHEMA_MISMATCH')
        expect(await idsOf(tx)).toEqual(['A', 'C'])
      },
      { readOnly: true },
    )
  })
})

describePostgres('a transaction', () => {
  test('is run again when a table changed under a prepared write of it', async () => {
    await using store = await openStorage({ url: database.url, pool: { max: 1 } })
    const use = (): Promise<unknown> =>
      store.transaction(async (tx) => {
        await tx.nodes.create(node(crypto.randomUUID()))
        await tx.nodes.save(node('n'))
      })
    await use()
    await use()
    await database.query('ALTER TABLE nodes ALTER COLUMN routes_discovered TYPE bigint')
    using tried = record('transaction', 'asyncEnd')
    await use()
    expect(tried.events[0]?.attempts).toBeGreaterThan(1)
    expect(await store.nodes.count()).toBe(4)
  })

  test('is lost when the connection is lost while a refused write is undone', async () => {
    await using proxy = await FaultyProxy.before(database.url)
    await using store = await openStorage({ url: withTimeouts(proxy.url), pool: { max: 1 } })
    await store.nodes.count()
    proxy.arm('reset before', 'ROLLBACK TO')
    await expectCode(
      store.transaction(async (tx) => {
        await tx.nodes.create(node('A'))
        await expectCode(tx.nodes.create(node(BAD)), 'UNAVAILABLE')
      }),
      'UNAVAILABLE',
    )
    expect(proxy.injected).toBe(1)
    await eventually('the store works again', () =>
      store.nodes.count().then(
        (count) => count === 0,
        () => false,
      ),
    )
  })

  test('that took too long gives up its connection, whatever the server still does there', async () => {
    await database.query(`
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
      CREATE TRIGGER slow BEFORE INSERT ON nodes FOR EACH ROW WHEN (NEW.node_id = 'slow') EXECUTE FUNCTION slow()`)
    await using proxy = await FaultyProxy.before(database.url)
    await using store = await openStorage({ url: proxy.url, pool: { max: 1 } })
    await expectCode(
      store.transaction(
        async (tx) => {
          await tx.nodes.create(node('A'))
          await tx.nodes.create(node('slow'))
        },
        { timeoutMs: 300 },
      ),
      'TIMEOUT',
    )
    await eventually('the connection has ended', () => proxy.connections === 0)
    const sql = "SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep'"
    expect(await database.query(sql, [database.name])).toHaveLength(1)
  })
})
