import { expect, test } from 'vitest'
import type { NodeRepository, PathBundle, PolicyRepository, Repositories } from '../../../src/index.ts'
import { all, expectRefused } from '../../support/expectations.ts'
import { node, numbered, pathKey, policy, TWO_RULES } from '../../support/samples.ts'
import type { Setting, Stage } from '../../support/settings.ts'

const across = (...nodes: string[]): PathBundle => ({
  source: nodes[0] ?? '',
  destination: nodes.at(-1) ?? '',
  primary: [{ nodes }],
})
const ALTERNATIVE: PathBundle = {
  source: 'a',
  destination: 'd',
  primary: [],
  alternatives: [{ nodes: ['a', 'via', 'd'] }],
}
const BUNDLES = [
  across('a', 'b'),
  across('a', 'via', 'c'),
  ALTERNATIVE,
  across('via', 'x'),
  across('x', 'via'),
  across('x', 'y'),
]
const ALL = ['a:b:3', 'a:c:3', 'a:d:3', 'via:x:3', 'x:via:3', 'x:y:3']
const WITHOUT_VIA = ['a:b:3', 'x:y:3']

async function fill({ pathCache }: Pick<Repositories, 'pathCache'>): Promise<void> {
  await pathCache.setMany(BUNDLES.map((each) => ({ key: pathKey(each.source, each.destination), bundle: each })))
}

/** By whichever way somebody asks. */
async function expectThere({ pathCache }: Pick<Repositories, 'pathCache'>, keys: readonly string[]): Promise<void> {
  expect((await pathCache.list()).map(({ cacheKey }) => cacheKey)).toEqual(keys)
  expect((await pathCache.list({ limit: 1 })).map(({ cacheKey }) => cacheKey)).toEqual(keys.slice(0, 1))
  expect((await all(pathCache.iterate())).map(({ cacheKey }) => cacheKey)).toEqual(keys)
  expect(await pathCache.count()).toBe(keys.length)
  for (const cacheKey of ALL) {
    const [source = '', destination = ''] = cacheKey.split(':')
    const key = pathKey(source, destination)
    expect((await pathCache.get(key)) !== undefined, cacheKey).toBe(keys.includes(cacheKey))
    expect((await pathCache.getEntry(key)) !== undefined, cacheKey).toBe(keys.includes(cacheKey))
  }
}

const VIA = [node('via', { started: true }), node('a'), node('x')]

export function invalidating({ run }: Setting): void {
  test('invalidate drops the paths by way of a node, from it and to it, and returns how many', () =>
    run(async (stage) => {
      await fill(stage)
      expect(await stage.pathCache.invalidate({ through: 'via' })).toBe(4)
      await expectThere(stage, WITHOUT_VIA)
      expect(await stage.pathCache.invalidate({ through: 'via' })).toBe(0)
      expect(await stage.pathCache.delete(pathKey('a', 'c'))).toBe(false)
    }))

  test.each([
    [{ source: 'a', through: 'via' }, ['a:b:3', 'via:x:3', 'x:via:3', 'x:y:3']],
    [{ destination: 'x', through: 'via' }, ['a:b:3', 'a:c:3', 'a:d:3', 'x:via:3', 'x:y:3']],
    [{ source: 'a', destination: 'd', through: 'via' }, ['a:b:3', 'a:c:3', 'via:x:3', 'x:via:3', 'x:y:3']],
    [{ source: 'a', destination: 'b', through: 'via' }, ALL],
    [{ source: 'a' }, ['via:x:3', 'x:via:3', 'x:y:3']],
    [{ through: 'nobody' }, ALL],
  ])('invalidate(%j) drops what matches all of it', (filter, left) =>
    run(async (stage) => {
      await fill(stage)
      expect(await stage.pathCache.invalidate(filter)).toBe(ALL.length - left.length)
      await expectThere(stage, left)
    }),
  )

  test('invalidate refuses a node that cannot be one', () =>
    run(async ({ pathCache }) => {
      await expectRefused(pathCache.invalidate({ through: '' }), 'through')
      await expectRefused(pathCache.invalidate({ through: undefined }), '')
    }))

  const ofNodes: [string, (nodes: NodeRepository) => Promise<unknown>][] = [
    ['is deleted', (nodes) => nodes.delete('via')],
    ['stops', (nodes) => nodes.update('via', { started: false })],
    ['gets other interfaces', (nodes) => nodes.update('via', { interfaces: ['lo'] })],
    ['gets other protocols', (nodes) => nodes.update('via', { protocols: [] })],
    ['is saved with other protocols', (nodes) => nodes.save(node('via', { protocols: ['aodv'] }))],
    ['is saved among others', (nodes) => nodes.saveMany([...VIA.slice(1), node('via', { started: false })])],
  ]
  test.each(ofNodes)('a node that %s takes the paths from, to and across it with it', (_, change) =>
    run(async (stage) => {
      await stage.nodes.createMany(VIA)
      await fill(stage)
      await change(stage.nodes)
      await expectThere(stage, WITHOUT_VIA)
      await fill(stage)
      await expectThere(stage, ALL)
    }),
  )

  const harmless: [string, (stage: Stage) => Promise<unknown>][] = [
    ['routes are counted', ({ nodes }) => nodes.recordRoutes('via', 3)],
    ['a node is given what it has', ({ nodes }) => nodes.update('via', { started: true, protocols: ['batman-adv'] })],
    ['a node is saved as it is', ({ nodes }) => nodes.save(VIA[0] as never)],
    ['a node reports without saying whether it runs', ({ nodes }) => nodes.save(node('via'))],
    ['routesDiscovered is set', ({ nodes }) => nodes.update('via', { routesDiscovered: 9 })],
    ['a node is added', ({ nodes }) => nodes.create(node('new'))],
    ['a node that is no part of them is deleted', ({ nodes }) => nodes.delete('other')],
    ['a policy is saved as it is', ({ policies }) => policies.save(policy('p'))],
    ['what is not there is deleted', ({ policies, nodes }) => Promise.all([policies.delete('q'), nodes.delete('q')])],
  ]
  test.each(harmless)('paths stay when %s', (_, change) =>
    run(async (stage) => {
      await stage.nodes.createMany([...VIA, node('other')])
      await stage.policies.create(policy('p'))
      await fill(stage)
      await change(stage)
      await expectThere(stage, ALL)
    }),
  )

  const ofPolicies: [string, (policies: PolicyRepository) => Promise<unknown>][] = [
    ['is added', (policies) => policies.create(policy('new'))],
    ['changes', (policies) => policies.update('p', { yamlContent: `${TWO_RULES}# more\n` })],
    ['is saved with another text', (policies) => policies.save(policy('p', 'rules: []\n'))],
    ['is deleted', (policies) => policies.delete('p')],
  ]
  test.each(ofPolicies)('when a policy %s, all paths are gone', (_, change) =>
    run(async (stage) => {
      await stage.policies.create(policy('p'))
      await fill(stage)
      await change(stage.policies)
      await expectThere(stage, [])
      expect(await stage.pathCache.clear(), 'nothing is left').toBe(0)
      await fill(stage)
      await expectThere(stage, ALL)
    }),
  )

  test("with 'manual' they stay, whatever changes, until a call drops them", () =>
    run(
      async (stage) => {
        await stage.nodes.createMany(VIA)
        await fill(stage)
        await stage.nodes.delete('via')
        await stage.nodes.update('a', { started: true })
        await stage.policies.create(policy('p'))
        await expectThere(stage, ALL)
        expect(await stage.pathCache.invalidate({ through: 'via' })).toBe(4)
        await expectThere(stage, WITHOUT_VIA)
      },
      { options: { pathCache: { invalidation: 'manual' } } },
    ))

  test('what is undone invalidates nothing, and what it had stored is gone', () =>
    run(async (stage) => {
      await stage.nodes.createMany(VIA)
      await fill(stage)
      const undone = stage.transaction(async (tx) => {
        await tx.nodes.delete('via')
        await tx.policies.create(policy('p'))
        await expectThere(tx, [])
        await tx.pathCache.set(pathKey('x', 'z'), across('x', 'z'))
        await tx.pathCache.invalidate({ through: 'x' })
        await tx.pathCache.clear()
        throw new Error('undone')
      })
      await expect(undone).rejects.toThrow('undone')
      await expectThere(stage, ALL)
    }))

  test('in a transaction, before and after count', () =>
    run(async (stage) => {
      await stage.nodes.createMany(VIA)
      await stage.transaction(async (tx) => {
        await fill(tx)
        await tx.nodes.update('via', { started: false })
        await expectThere(tx, WITHOUT_VIA)
        await tx.pathCache.set(pathKey('a', 'c'), across('a', 'via', 'c'))
        await expectThere(tx, ['a:b:3', 'a:c:3', 'x:y:3'])
      })
      await expectThere(stage, ['a:b:3', 'a:c:3', 'x:y:3'])
    }))

  test('a page is filled with what comes after the invalidated ones', () =>
    run(async (stage) => {
      const { pathCache, nodes } = stage
      await nodes.create(node('via'))
      const entries = Array.from({ length: 300 }, (_, index) => {
        const to = numbered('to', index)
        return { key: pathKey('a', to), bundle: across('a', index % 3 === 0 ? 'relay' : 'via', to) }
      })
      await pathCache.setMany(entries)
      await nodes.delete('via')
      const left = entries.filter((_, index) => index % 3 === 0).map(({ key }) => `a:${key.destination}:3`)
      expect((await pathCache.list({ limit: 60 })).map(({ cacheKey }) => cacheKey)).toEqual(left.slice(0, 60))
      expect((await all(pathCache.iterate({ source: 'a' }))).map(({ cacheKey }) => cacheKey)).toEqual(left)
      expect(await pathCache.count({ source: 'a' })).toBe(100)
    }))

  test('however much changes, nothing that has been invalidated is served', () =>
    run(async (stage) => {
      const others = Array.from({ length: 700 }, (_, index) => node(numbered('n', index)))
      await stage.nodes.createMany([...others, ...VIA])
      await fill(stage)
      for (const { nodeId } of others) await stage.nodes.delete(nodeId)
      await stage.nodes.delete('via')
      for (const key of [pathKey('a', 'c'), pathKey('via', 'x')]) expect(await stage.pathCache.get(key)).toBeUndefined()
      await fill(stage)
      await expectThere(stage, ALL)
    }))

  test('bundles that say it in another way, of another program, go with any change', () =>
    run(
      async ({ nodes, pathCache }) => {
        await nodes.delete('nobody on it')
        expect(await pathCache.count()).toBe(0)
      },
      {
        before: async ({ store, other }) => {
          await store.nodes.create(node('nobody on it'))
          for (const [index, text] of ['{"paths": [["a", "b"]]}', '{"primary": [{"hops": 3}]}', '{}'].entries()) {
            const row = {
              cache_key: `a:b:${index + 1}`,
              source: 'a',
              destination: 'b',
              k: index + 1,
              bundle_json: text,
            }
            await other.insert('path_cache', { ...row, created_at: 1, expires_at: 4_000_000_000 })
          }
          expect((await store.pathCache.stats()).entries).toBe(3)
        },
      },
    ))
}
