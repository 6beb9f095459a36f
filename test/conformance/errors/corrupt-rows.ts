/** Rows that another program broke: CORRUPT, with table and key, never a wrong type. */
import { expect, test } from 'vitest'
import { contentHash } from '../../support/content.ts'
import { expectCode } from '../../support/expectations.ts'
import type { Table } from '../../support/other-program.ts'
import { bundle, node, pathKey, policy } from '../../support/samples.ts'
import type { Setting, Stage } from '../../support/settings.ts'
import { CANARY, CASES, type Case, NO_LIST_OF_STRINGS } from './broken.ts'

/** The key under which a table stores an id. */
const keyOf = (table: Table, id: string): string => (table === 'path_cache' ? `${id}:z:3` : id)

async function fill(store: Pick<Stage, 'nodes' | 'policies' | 'pathCache'>, ids: readonly string[]): Promise<void> {
  await store.nodes.createMany(ids.map((id) => node(id)))
  await store.policies.createMany(ids.map((id) => policy(id)))
  await store.pathCache.setMany(ids.map((id) => ({ key: pathKey(id, 'z'), bundle: bundle(id, 'z') })))
}

export function brokenRows({ run, backend }: Setting, cases: readonly Case[]): void {
  test.each(cases)('a row of $table with a broken $column is CORRUPT, and nothing changes it', async (each) => {
    const { table, column, values, acts } = each
    const broken = values[backend.looseTypes ? 'loose' : 'typed'].map((value, index) => ({ id: `bad-${index}`, value }))
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
        options: { pathCache: { invalidation: 'manual' } },
        before: async (opened) => {
          await fill(opened.store, [...broken.map(({ id }) => id), 'sound'])
          for (const { id, value } of broken) await opened.other.corrupt(table, keyOf(table, id), { [column]: value })
          before = await contentHash(opened)
        },
        after: async (opened) => expect(await contentHash(opened)).toBe(before),
      },
    )
  })
}

export function corruptRows(setting: Setting): void {
  const { run } = setting
  brokenRows(setting, CASES)

  test('what a row of another program may hold is no corruption', () => foreignRowsOf(run))

  test('a row that is CORRUPT can be deleted', () =>
    run(
      async ({ nodes, policies, pathCache }) => {
        expect(await pathCache.delete(pathKey('bad', 'z'))).toBe(true)
        expect(await nodes.delete('bad')).toBe(true)
        expect(await policies.delete('bad')).toBe(true)
      },
      {
        before: async ({ store, other }) => {
          await fill(store, ['bad'])
          await other.corrupt('nodes', 'bad', { interfaces: NO_LIST_OF_STRINGS })
          await other.corrupt('policies', 'bad', { created_at: 9e12 })
          await other.corrupt('path_cache', 'bad:z:3', { bundle_json: CANARY })
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
          for (const id of ['updated', 'saved']) await other.corrupt('nodes', id, { interfaces: NO_LIST_OF_STRINGS })
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
        await other.insert('nodes', { node_id: 'python', interfaces: ' [ "eth0" ] ', protocols: '[]', ...times })
        await other.insert('policies', {
          policy_id: 'python',
          yaml_content: 'a: [not closed',
          rules_count: 3,
          ...times,
        })
        await other.insert('path_cache', {
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
