/** Edge cases that a review found, on every backend. */
import { expect, test } from 'vitest'
import { openStorage, type StorageError } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'

eachBackend('edges', (backend) => {
  test('writes of one row keep their order, whatever the method', async () => {
    await using opened = await backend.open()
    const { nodes, policies, pathCache } = opened.store
    for (let round = 0; round < 10; round++) {
      await Promise.all([nodes.save(node('a')), nodes.update('a', { started: true }), nodes.delete('a')])
      expect(await nodes.get('a')).toBeUndefined()
      await Promise.all([policies.save(policy('a')), policies.delete('a'), policies.create(policy('a'))])
      expect(await policies.get('a')).toBeDefined()
      await Promise.all([pathCache.set(pathKey('a', 'b'), bundle('a', 'b')), pathCache.delete(pathKey('a', 'b'))])
      expect(await pathCache.get(pathKey('a', 'b'))).toBeUndefined()
    }
  })

  test('many rows of which one is refused, on a store that is closed: CLOSED, and nothing is left unheard', async () => {
    await using opened = await backend.open()
    const unheard: unknown[] = []
    const listener = (reason: unknown): number => unheard.push(reason)
    process.on('unhandledRejection', listener)
    try {
      await opened.store.policies.save(policy('parser'))
      await opened.store.close()
      const nodes = [...manyNodes(1_500), { ...node('bad'), interfaces: [''] }]
      const policies = [...Array.from({ length: 1_500 }, (_, index) => policy(`p-${index}`)), policy('')]
      await expectCode(opened.store.nodes.createMany(nodes), 'CLOSED')
      await expectCode(opened.store.nodes.saveMany(nodes), 'CLOSED')
      await expectCode(opened.store.policies.createMany(policies), 'CLOSED')
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect(unheard).toEqual([])
    } finally {
      process.off('unhandledRejection', listener)
    }
  })

  test.each([
    ['not a number', () => new Date(Number.NaN)],
    ['a number', () => 5],
    ['nothing', () => undefined],
  ])('a clock that says %s is MISUSE', async (_, now) => {
    await using opened = await backend.open()
    // One that has to be migrated, as one in memory has, says so when it is opened.
    const create = async (): Promise<void> => {
      await using store = await openStorage({ url: opened.url, now: now as () => Date })
      await store.nodes.create(node('a'))
    }
    await expectCode(create(), 'MISUSE')
  })

  test("an error of the callback's own is not taken for a conflict", async () => {
    await using opened = await backend.open()
    const theirs = Object.assign(new Error('of another database'), { severity: 'ERROR', code: '40001' })
    let runs = 0
    const attempt = opened.store.transaction(async (tx) => {
      await tx.nodes.save(node('a'))
      runs++
      throw theirs
    })
    await expect(attempt).rejects.toBe(theirs)
    expect(runs).toBe(1)
  })

  test('a computation that asks for what it is to find is MISUSE', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const own = (): Promise<never> => pathCache.getOrCompute(pathKey('a', 'b'), own) as Promise<never>
    await expectCode(pathCache.getOrCompute(pathKey('a', 'b'), own), 'MISUSE')
    const through = await pathCache.getOrCompute(pathKey('a', 'b'), async () => {
      await pathCache.getOrCompute(pathKey('b', 'c'), () => bundle('b', 'c'))
      return bundle('a', 'b')
    })
    expect(through).toEqual(bundle('a', 'b'))
  })

  test('what a trigger refuses in a savepoint undoes the savepoint, and the transaction goes on', async () => {
    await using opened = await backend.open()
    await opened.other.refuseRows('nodes', 'not here')
    const { store } = opened
    await store.transaction(async (tx) => {
      await tx.policies.create(policy('before'))
      const refused = tx.transaction(async (inner) => {
        await inner.policies.create(policy('undone'))
        await inner.nodes.create(node('a'))
      })
      expect(await refused.catch((error: StorageError) => error.code)).toBe('CONFLICT')
      await tx.policies.create(policy('after'))
    })
    expect((await store.policies.list()).map(({ policyId }) => policyId)).toEqual(['after', 'before'])
  })

  test('a cached path whose time is no time can be deleted', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    await pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    await opened.other.corrupt('path_cache', 'a:b:3', { expires_at: backend.looseTypes ? 'never' : Infinity })
    await expectCode(pathCache.get(pathKey('a', 'b')), 'CORRUPT')
    expect(await pathCache.delete(pathKey('a', 'b'))).toBe(true)
    expect(await pathCache.get(pathKey('a', 'b'))).toBeUndefined()
  })
})
