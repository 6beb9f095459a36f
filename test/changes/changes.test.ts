/** Which changes there are of what was written, on each backend. */
import { expect, test } from 'vitest'
import { cacheKey } from '../../src/schema/path-bundle.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { eachBackend, eachLastingBackend } from '../support/settings.ts'
import { logOf } from './support/log.ts'
import { committed, subscribed, take, words } from './support/reading.ts'

const PATH = cacheKey(pathKey('a', 'b'))
const OTHER = cacheKey(pathKey('b', 'a'))
class Undo extends Error {}
const undo = (): never => {
  throw new Undo()
}

eachBackend('changes', (backend) => {
  test('of each operation on nodes, in the order of the commits', async () => {
    await using opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    const { nodes } = opened.store
    await nodes.create(node('before'))
    const changes = await subscribed(opened.store)
    await nodes.create(node('a'))
    await nodes.save(node('a', { started: true }))
    await nodes.save(node('b'))
    await nodes.update('a', { started: false })
    await nodes.recordRoutes('a')
    await nodes.createMany([node('d'), node('c')])
    await nodes.saveMany([node('d', { started: true }), node('e')])
    await nodes.delete('a')
    await nodes.delete('a')
    const seen = await committed(changes, opened.store)
    expect(seen.slice(0, 5)).toEqual([
      'insert nodes a',
      'update nodes a',
      'insert nodes b',
      'update nodes a',
      'update nodes a',
    ])
    // The database decides the order of the rows of one statement.
    expect(seen.slice(5, 7).sort()).toEqual(['insert nodes c', 'insert nodes d'])
    expect(seen.slice(7, 9).sort()).toEqual(['insert nodes e', 'update nodes d'])
    expect(seen.slice(9)).toEqual(['delete nodes a'])
  })

  test('of each operation on policies', async () => {
    await using opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    const { policies } = opened.store
    const changes = await subscribed(opened.store)
    await policies.create(policy('p'))
    await policies.update('p', { yamlContent: 'rules: []' })
    await policies.save(policy('p'))
    await policies.save(policy('q'))
    await policies.createMany([policy('r')])
    await policies.delete('p')
    expect(await committed(changes, opened.store)).toEqual([
      'insert policies p',
      'update policies p',
      'update policies p',
      'insert policies q',
      'insert policies r',
      'delete policies p',
    ])
  })

  test('of each operation on cached paths', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const changes = await subscribed(opened.store)
    await pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    await pathCache.set(pathKey('a', 'b'), bundle('a', 'b', 3))
    await pathCache.getOrCompute(pathKey('b', 'a'), async () => bundle('b', 'a'))
    await pathCache.getOrCompute(pathKey('b', 'a'), async () => bundle('b', 'a'))
    await pathCache.delete(pathKey('a', 'b'))
    await pathCache.setMany([{ key: pathKey('a', 'b'), bundle: bundle('a', 'b') }])
    await pathCache.deleteExpired({ now: new Date(Date.now() + 3_600_000) })
    const seen = await committed(changes, opened.store)
    expect(seen.slice(0, 5)).toEqual([
      `insert path_cache ${PATH}`,
      `update path_cache ${PATH}`,
      `insert path_cache ${OTHER}`,
      `delete path_cache ${PATH}`,
      `insert path_cache ${PATH}`,
    ])
    expect(seen.slice(5).sort()).toEqual([`delete path_cache ${PATH}`, `delete path_cache ${OTHER}`].sort())
  })

  test('of invalidations: which paths nobody gets any more', async () => {
    await using opened = await backend.open()
    const { nodes, policies, pathCache } = opened.store
    await nodes.create(node('a'))
    await pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    const changes = await subscribed(opened.store)
    await pathCache.invalidate({ source: 'x' })
    await pathCache.invalidate({ source: 'x', destination: 'y' })
    await pathCache.invalidate({ through: 'x' })
    await pathCache.invalidate({ source: 'x', through: 'y' })
    await pathCache.clear()
    await nodes.save(node('a', { started: true }))
    await nodes.recordRoutes('a')
    await policies.create(policy('p'))
    const isOfPaths = (each: string): boolean => each.startsWith('invalidate')
    expect((await committed(changes, opened.store)).filter(isOfPaths)).toEqual([
      'invalidate path_cache {"source":"x"}',
      'invalidate path_cache {"source":"x","destination":"y"}',
      'invalidate path_cache {"through":"x"}',
      'invalidate path_cache {"source":"x","through":"y"}',
      'invalidate path_cache {}',
      'invalidate path_cache {"through":"a"}',
      'invalidate path_cache {}',
    ])
    await pathCache.sweep()
    expect(await committed(changes, opened.store)).toEqual([`delete path_cache ${PATH}`])
  })

  test('of transactions when they are committed, and never of what was rolled back', async () => {
    await using opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    const { store } = opened
    const changes = await subscribed(store)
    await store.transaction(async (tx) => {
      await tx.nodes.create(node('a'))
      await tx.transaction(async (inner) => {
        await inner.nodes.create(node('in-a-savepoint'))
        await inner
          .transaction(async (innermost) => {
            await innermost.nodes.create(node('undone'))
            undo()
          })
          .catch(() => {})
      })
      await tx
        .transaction(async (inner) => {
          await inner.nodes.delete('a')
          await inner.pathCache.clear()
          undo()
        })
        .catch(() => {})
      await tx.policies.create(policy('p'))
    })
    await store
      .transaction(async (tx) => {
        await tx.nodes.delete('a')
        await tx.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
        undo()
      })
      .catch(() => {})
    await store.nodes.create(node('a')).catch(() => {})
    await store.nodes.createMany([node('z'), node('a')]).catch(() => {})
    expect(await committed(changes, store)).toEqual([
      'insert nodes a',
      'insert nodes in-a-savepoint',
      'insert policies p',
    ])
  })

  test('none of reads, and of what changes nothing', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const changes = await subscribed(store)
    await store.nodes.list()
    await store.nodes.delete('x')
    await store.policies.delete('x')
    await store.pathCache.delete(pathKey('x', 'y'))
    await store.pathCache.sweep()
    await store.health()
    expect(await committed(changes, store)).toEqual([])
  })
})

eachLastingBackend('changes of others', (backend) => {
  test('another store, and another program', async () => {
    await using opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    const second = await opened.openAgain()
    const changes = await subscribed(opened.store)
    await second.nodes.create(node('a'))
    await opened.other.execute("UPDATE nodes SET started = started WHERE node_id = 'a'")
    await opened.other.execute("UPDATE nodes SET node_id = 'b' WHERE node_id = 'a'")
    await opened.other.execute('DELETE FROM nodes')
    expect(await committed(changes, opened.store)).toEqual([
      'insert nodes a',
      'update nodes a',
      'delete nodes a',
      'insert nodes b',
      'delete nodes b',
    ])
  })

  test('a change of the topology is one entry of the log, and two changes', async () => {
    await using opened = await backend.open()
    const { store, other } = opened
    await store.nodes.createMany([node('a'), node('b')])
    const changes = await subscribed(store)
    const entries = async (): Promise<number> => (await logOf(opened)).changes
    const before = await entries()
    await store.nodes.update('a', { interfaces: ['other'] })
    await store.nodes.delete('b')
    expect((await entries()) - before).toBe(2)
    const seen = await take(changes, 4)
    expect(seen.map(words)).toEqual([
      'invalidate path_cache {"through":"a"}',
      'update nodes a',
      'invalidate path_cache {"through":"b"}',
      'delete nodes b',
    ])
    // Nothing is missed by a reader that resumes. Between the two changes of an entry, it gets the invalidation again.
    for (const [index, { operation, token }] of seen.entries()) {
      const resumed = await subscribed(store, { after: token })
      const from = operation === 'invalidate' ? index : index + 1
      expect((await take(resumed, seen.length - from)).map(words)).toEqual(seen.slice(from).map(words))
      await resumed.return()
    }
    await other.execute("UPDATE nodes SET node_id = 'c' WHERE node_id = 'a'")
    expect((await take(changes, 4)).map(words).sort()).toEqual([
      'delete nodes a',
      'insert nodes c',
      'invalidate path_cache {"through":"a"}',
      'invalidate path_cache {"through":"c"}',
    ])
  })

  test('a program that gives two rows each other’s keys', async () => {
    await using opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    await opened.store.nodes.createMany([node('a'), node('b'), node('c')])
    const changes = await subscribed(opened.store)
    await opened.other.execute(
      "BEGIN; UPDATE nodes SET node_id = 'x' WHERE node_id = 'a'; UPDATE nodes SET node_id = 'a' WHERE node_id = 'b'; ROLLBACK",
    )
    await opened.other.execute("UPDATE nodes SET node_id = 'z' || node_id WHERE node_id < 'c'")
    const seen = await committed(changes, opened.store)
    expect([...seen].sort()).toEqual(['delete nodes a', 'delete nodes b', 'insert nodes za', 'insert nodes zb'])
  })

  test('the loop ends when it is left, and the next one sees what comes then', async () => {
    await using opened = await backend.open()
    const first = opened.store.changes()
    await first.ready()
    await opened.store.nodes.create(node('a'))
    const seen: string[] = []
    for await (const change of first) {
      seen.push(words(change))
      break
    }
    expect(seen).toEqual(['insert nodes a'])
    expect(await first.next()).toEqual({ done: true, value: undefined })
    const second = await subscribed(opened.store)
    await opened.store.nodes.create(node('b'))
    expect((await take(second, 1)).map(words)).toEqual(['insert nodes b'])
  })
})
