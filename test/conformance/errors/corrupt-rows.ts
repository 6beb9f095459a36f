/** Rows that another program broke: CORRUPT, with table and key, never a wrong type. */
import { expect, test } from 'vitest'
import { contentHash } from '../../support/content.ts'
import { expectCode } from '../../support/expectations.ts'
import type { Table, Value } from '../../support/other-program.ts'
import { bundle, node, pathKey, policy } from '../../support/samples.ts'
import type { Setting, Stage } from '../../support/settings.ts'

const CANARY = 'canary-7f3a'

const A_BLOB: Value = Buffer.from(CANARY)
const LISTS: readonly Value[] = [CANARY, `{"${CANARY}":1}`, `["${CANARY}",1]`, '[null]', '"eth0"', '', A_BLOB]
const TIMES: readonly Value[] = [CANARY, '2026-01-01', A_BLOB, 9e12, Number.POSITIVE_INFINITY]
const INTEGERS: readonly Value[] = [CANARY, 1.5, A_BLOB]
const FLAGS: readonly Value[] = [CANARY, 0.5, 2, A_BLOB]
const BUNDLES: readonly Value[] = [CANARY, '[]', '7', 'null', '', A_BLOB]

/** What looks at one row. */
type Act = (stage: Stage, id: string) => Promise<unknown>
type Acts = Readonly<Record<string, Act>>

/** The page of this row alone, for an id that ends with a digit. */
const listFrom = (id: string) => {
  const before = String.fromCharCode(id.charCodeAt(id.length - 1) - 1)
  return { after: `${id.slice(0, -1)}${before}~`, limit: 1 }
}

const NODE_READS: Acts = {
  get: ({ nodes }, id) => nodes.get(id),
  getMany: ({ nodes }, id) => nodes.getMany(['sound', id]),
  list: ({ nodes }, id) => nodes.list(listFrom(id)),
  iterate: ({ nodes }) => nodes.iterate()[Symbol.asyncIterator]().next(),
}
const NODE_CONDITIONAL: Acts = {
  'update with ifUpdatedAt': ({ nodes, clock }, id) => nodes.update(id, {}, { ifUpdatedAt: clock.now() }),
}
const NODE_WRITES: Acts = {
  ...NODE_CONDITIONAL,
  update: ({ nodes }, id) => nodes.update(id, {}),
  recordRoutes: ({ nodes }, id) => nodes.recordRoutes(id),
}
const POLICY_READS: Acts = {
  get: ({ policies }, id) => policies.get(id),
}
const POLICY_LISTS: Acts = {
  list: ({ policies }, id) => policies.list(listFrom(id)),
  iterate: ({ policies }) => policies.iterate()[Symbol.asyncIterator]().next(),
}
const POLICY_WRITES: Acts = {
  update: ({ policies }, id) => policies.update(id, {}),
}
const CACHE_ENTRIES: Acts = {
  getEntry: ({ pathCache }, id) => pathCache.getEntry(pathKey(id, 'z')),
  list: ({ pathCache }, source) => pathCache.list({ source }),
  iterate: ({ pathCache }) => pathCache.iterate()[Symbol.asyncIterator]().next(),
}
const CACHE_GET: Acts = {
  get: ({ pathCache }, id) => pathCache.get(pathKey(id, 'z')),
}

interface Case {
  readonly table: Table
  readonly column: string
  readonly values: readonly Value[]
  readonly acts: Acts
}
const CASES: readonly Case[] = [
  { table: 'nodes', column: 'interfaces', values: LISTS, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'protocols', values: LISTS, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'started', values: FLAGS, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'routes_discovered', values: INTEGERS, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'created_at', values: TIMES, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'updated_at', values: TIMES, acts: { ...NODE_READS, ...NODE_CONDITIONAL } },
  { table: 'policies', column: 'yaml_content', values: [A_BLOB], acts: { ...POLICY_READS, ...POLICY_WRITES } },
  {
    table: 'policies',
    column: 'rules_count',
    values: INTEGERS,
    acts: { ...POLICY_READS, ...POLICY_LISTS, ...POLICY_WRITES },
  },
  {
    table: 'policies',
    column: 'created_at',
    values: TIMES,
    acts: { ...POLICY_READS, ...POLICY_LISTS, ...POLICY_WRITES },
  },
  { table: 'policies', column: 'updated_at', values: TIMES, acts: { ...POLICY_READS, ...POLICY_LISTS } },
  { table: 'path_cache', column: 'bundle_json', values: BUNDLES, acts: { ...CACHE_ENTRIES, ...CACHE_GET } },
  { table: 'path_cache', column: 'k', values: INTEGERS, acts: CACHE_ENTRIES },
  { table: 'path_cache', column: 'created_at', values: TIMES, acts: CACHE_ENTRIES },
  // A text is above every number: such a row would never expire.
  { table: 'path_cache', column: 'expires_at', values: TIMES, acts: { ...CACHE_ENTRIES, ...CACHE_GET } },
]

/** What is stored under an id in a table, as its key. */
const keyOf = (table: Table, id: string): string => (table === 'path_cache' ? `${id}:z:3` : id)

async function fill(store: Pick<Stage, 'nodes' | 'policies' | 'pathCache'>, ids: readonly string[]): Promise<void> {
  await store.nodes.createMany(ids.map((id) => node(id)))
  await store.policies.createMany(ids.map((id) => policy(id)))
  await store.pathCache.setMany(ids.map((id) => ({ key: pathKey(id, 'z'), bundle: bundle(id, 'z') })))
}

export function corruptRows({ run, backend }: Setting): void {
  if (!backend.has.otherPrograms) return

  // Where columns have types, nobody can store anything but a text that is no bundle.
  const possible = backend.has.looseTypes ? CASES : CASES.filter(({ column }) => column === 'bundle_json')
  const storable = (value: Value): boolean => backend.has.looseTypes || typeof value === 'string'

  test.each(possible)('a row of $table with a broken $column is CORRUPT, and nothing changes it', async (each) => {
    const { table, column, values, acts } = each
    const broken = values.filter(storable).map((value, index) => ({ id: `bad-${index}`, value }))
    let before = ''
    await run(
      async (stage) => {
        for (const { id } of broken) {
          for (const [name, act] of Object.entries(acts)) {
            const error = await expectCode(act(stage, id), 'CORRUPT')
            const key = name === 'iterate' ? keyOf(table, 'bad-0') : keyOf(table, id)
            for (const named of [table, column, JSON.stringify(key)]) expect(error.message, name).toContain(named)
            expect(error.message).not.toContain(CANARY)
            expect(error.retryable).toBe(false)
          }
        }
        expect(await stage.nodes.get('sound')).toMatchObject(node('sound'))
        expect(await stage.policies.get('sound')).toMatchObject(policy('sound'))
        expect(await stage.pathCache.get(pathKey('sound', 'z'))).toEqual(bundle('sound', 'z'))
        expect(await stage.nodes.count()).toBe(broken.length + 1)
      },
      {
        unreadable: true,
        before: async (opened) => {
          await fill(opened.store, [...broken.map(({ id }) => id), 'sound'])
          for (const { id, value } of broken) await opened.other?.corrupt(table, keyOf(table, id), { [column]: value })
          before = await contentHash(opened)
        },
        after: async (opened) => expect(await contentHash(opened)).toBe(before),
      },
    )
  })

  test('what a row of another program may hold is no corruption', () => foreignRowsOf(run))

  if (!backend.has.looseTypes) return

  test('a row that is CORRUPT can be deleted', () =>
    run(
      async ({ nodes, policies, pathCache }) => {
        expect(await nodes.delete('bad')).toBe(true)
        expect(await policies.delete('bad')).toBe(true)
        expect(await pathCache.delete(pathKey('bad', 'z'))).toBe(true)
      },
      {
        before: async ({ store, other }) => {
          await fill(store, ['bad'])
          await other?.corrupt('nodes', 'bad', { interfaces: CANARY })
          await other?.corrupt('policies', 'bad', { rules_count: CANARY })
          await other?.corrupt('path_cache', 'bad:z:3', { bundle_json: CANARY })
        },
      },
    ))

  test('a list that is broken is repaired by an update, and by a save, that replaces it', () =>
    run(
      async ({ nodes }) => {
        expect((await nodes.update('updated', { interfaces: ['eth1'] })).interfaces).toEqual(['eth1'])
        expect((await nodes.save(node('saved'))).interfaces).toEqual(node('saved').interfaces)
      },
      {
        before: async ({ store, other }) => {
          await fill(store, ['updated', 'saved'])
          for (const id of ['updated', 'saved']) await other?.corrupt('nodes', id, { interfaces: CANARY })
        },
      },
    ))
}

const foreignRowsOf = (run: Setting['run']): Promise<void> =>
  run(
    async ({ nodes, policies, pathCache }) => {
      expect(await nodes.get('python')).toMatchObject({ interfaces: ['eth0'], protocols: [], routesDiscovered: 0 })
      expect(await policies.get('python')).toMatchObject({ yamlContent: 'a: [not closed', rulesCount: 3 })
      expect(await pathCache.get(pathKey('a', 'b', 5))).toEqual({ ...bundle('a', 'b'), generated_at: 1.5 })
    },
    {
      before: async ({ other }) => {
        const times = { created_at: 1_700_000_000, updated_at: -0.5 }
        await other?.insert('nodes', { node_id: 'python', interfaces: ' [ "eth0" ] ', protocols: '[]', ...times })
        await other?.insert('policies', {
          policy_id: 'python',
          yaml_content: 'a: [not closed',
          rules_count: 3,
          ...times,
        })
        await other?.insert('path_cache', {
          cache_key: 'a:b:5',
          source: 'a',
          destination: 'b',
          k: 5,
          bundle_json: JSON.stringify({ generated_at: 1.5, ...bundle('a', 'b') }, null, 2),
          created_at: 1_700_000_000,
          expires_at: 4_000_000_000,
        })
      },
    },
  )
