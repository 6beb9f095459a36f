/** Every operation of every repository, once, on an empty store: each with what it must come to. */
import { expect } from 'vitest'
import type { Meshstore, Repositories } from '../../../src/index.ts'
import { all, expectCode } from '../../support/expectations.ts'
import { bundle, node, pathKey, policy, TWO_RULES } from '../../support/samples.ts'

async function nodes({ nodes }: Repositories): Promise<void> {
  expect(await nodes.create(node('n1'))).toMatchObject({ nodeId: 'n1', started: false })
  expect(await nodes.createMany([node('n2'), node('n3')])).toHaveLength(2)
  await expectCode(nodes.create(node('n1')), 'ALREADY_EXISTS')
  await expectCode(nodes.createMany([node('n4'), node('n1')]), 'ALREADY_EXISTS')
  expect((await nodes.get('n1'))?.interfaces).toEqual(['eth0', 'wlan0'])
  expect(await nodes.getMany(['n3', 'n4', 'n1'])).toMatchObject([{ nodeId: 'n3' }, { nodeId: 'n1' }])
  const updated = await nodes.update('n1', { started: true })
  await nodes.update('n1', { protocols: ['cjdns'] }, { ifUpdatedAt: updated.updatedAt })
  await expectCode(nodes.update('n1', { started: false }, { ifUpdatedAt: updated.updatedAt }), 'CONFLICT')
  await expectCode(nodes.update('n4', { started: true }), 'NOT_FOUND')
  expect(await nodes.list({ started: true, protocol: 'cjdns', interface: 'eth0', limit: 1 })).toHaveLength(1)
  expect(await nodes.list({ after: 'n1' })).toHaveLength(2)
  expect(await all(nodes.iterate())).toHaveLength(3)
  expect((await nodes.save(node('n1', { interfaces: ['tun0'] }))).started).toBe(true)
  expect(await nodes.saveMany([node('n2', { started: true }), node('n4')])).toHaveLength(2)
  expect((await nodes.recordRoutes('n1', 5)).routesDiscovered).toBe(5)
  expect([await nodes.delete('n4'), await nodes.delete('n4')]).toEqual([true, false])
  expect(await nodes.count({ started: true })).toBe(2)
}

async function policies({ policies }: Repositories): Promise<void> {
  expect((await policies.create(policy('p1'))).rulesCount).toBe(2)
  expect(await policies.createMany([policy('p2'), policy('p3')])).toHaveLength(2)
  expect((await policies.get('p1'))?.yamlContent).toBe(TWO_RULES)
  expect((await policies.update('p1', { yamlContent: 'rules: [a]' })).rulesCount).toBe(1)
  expect((await policies.save(policy('p1'))).rulesCount).toBe(2)
  expect(await policies.list({ limit: 2 })).toHaveLength(2)
  expect(await all(policies.iterate())).toHaveLength(3)
  expect([await policies.delete('p3'), await policies.delete('p3')]).toEqual([true, false])
  expect(await policies.count()).toBe(2)
}

async function paths({ pathCache }: Repositories): Promise<void> {
  const key = pathKey('a', 'b')
  await pathCache.set(key, bundle('a', 'b'))
  await pathCache.setMany([
    { key: pathKey('a', 'c'), bundle: bundle('a', 'c') },
    { key: pathKey('x', 'y'), bundle: bundle('x', 'y'), ttlSeconds: 60 },
  ])
  expect(await pathCache.get(key)).toEqual(bundle('a', 'b'))
  expect(await pathCache.getEntry(key)).toMatchObject({ source: 'a', destination: 'b', k: 3 })
  expect(await pathCache.list({ source: 'a' })).toHaveLength(2)
  expect(await all(pathCache.iterate())).toHaveLength(3)
  expect(await pathCache.count({ destination: 'y' })).toBe(1)
  expect([await pathCache.delete(key), await pathCache.delete(key)]).toEqual([true, false])
  expect(await pathCache.invalidate({ source: 'a' })).toBe(1)
  expect(await pathCache.deleteExpired({ now: new Date(Date.now() + 3_600_000) })).toBe(1)
  await pathCache.set(key, bundle('a', 'b'))
  expect(await pathCache.clear()).toBe(1)
  expect(await pathCache.count()).toBe(0)
}

async function repositories(on: Repositories): Promise<void> {
  await nodes(on)
  await policies(on)
  await paths(on)
}

class Undone extends Error {}

/** Leaves three nodes and two policies. */
export async function performAll(store: Meshstore): Promise<void> {
  const undone = store.transaction(
    async (tx) => {
      await tx.transaction(repositories)
      throw new Undone()
    },
    { timeoutMs: 30_000 },
  )
  await expect(undone).rejects.toThrow(Undone)
  await repositories(store)
  const computed = await store.pathCache.getOrCompute(pathKey('a', 'b'), () => bundle('a', 'b'))
  expect(computed).toEqual(bundle('a', 'b'))
  expect(await store.transaction((tx) => tx.nodes.count(), { readOnly: true })).toBe(3)
  expect((await store.stats()).rows).toEqual({ nodes: 3, policies: 2, pathCache: 1 })
  expect(await store.health()).toMatchObject({ canRead: true, canWrite: true, problems: [] })
}
