/** Promises of the documents for single calls, while another program writes the same database all the time. */
import { expect, test } from 'vitest'
import type { Meshstore, NewMeshNode } from '../../src/index.ts'
import { Clock } from '../support/clock.ts'
import { all, expectCode } from '../support/expectations.ts'
import { bundle, manyNodes, node, numbered, pathKey } from '../support/samples.ts'
import { eachLastingBackend } from '../support/settings.ts'

const MANY = 1_200
const TURNS = 60

/** Repeats `turn` beside `work`, at least once, and returns how often. */
async function beside(work: Promise<unknown>, turn: (number: number) => Promise<unknown>): Promise<number> {
  let isDone = false
  const ended = work.finally(() => {
    isDone = true
  })
  ended.catch(() => {})
  let turns = 0
  do await turn(turns++)
  while (!isDone)
  await ended
  return turns
}

const each = <T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => call(index)))

eachLastingBackend('beside another program', (backend) => {
  const open = async () => {
    const opened = await backend.open()
    const another: Meshstore = await opened.openAgain()
    return { opened, store: opened.store, another, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() }
  }

  test('bulk calls wait no longer than busyTimeoutMs for its locks, and change nothing', async () => {
    await using opened = await backend.open({ busyTimeoutMs: 50 })
    const { store } = opened
    const another: Meshstore = await opened.openAgain()
    await store.nodes.saveMany([node('held'), node('free')])
    const gate = Promise.withResolvers<void>()
    const locked = Promise.withResolvers<void>()
    const holding = another.transaction(
      async (tx) => {
        await tx.nodes.recordRoutes('held')
        locked.resolve()
        await gate.promise
      },
      { timeoutMs: 60_000 },
    )
    holding.catch(locked.reject)
    await locked.promise
    const waiting = [
      store.nodes.saveMany([node('new'), node('held')]),
      store.nodes.updateMany({ prefix: 'held' }, { protocols: ['changed'] }),
      store.nodes.deleteMany({ prefix: 'held' }),
    ]
    try {
      for (const outcome of await Promise.allSettled(waiting))
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'BUSY' } })
    } finally {
      gate.resolve()
      await holding
    }
    expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['free', 'held'])
    expect(await store.nodes.get('held')).toMatchObject({ routesDiscovered: 1, protocols: node('held').protocols })
  })

  test('many nodes are added or saved at once, or none', async () => {
    await using database = await open()
    const { store, another } = database
    const seen = new Set<number>()
    const creating = store.nodes.createMany(manyNodes(MANY, 'c')).then(() => store.nodes.saveMany(manyNodes(MANY, 's')))
    const turns = await beside(creating, async (turn) => {
      await another.nodes.save(node('other', { routesDiscovered: turn }))
      const ids = (await another.nodes.list({ limit: 10_000 })).map(({ nodeId }) => nodeId.charAt(0))
      for (const kind of ['c', 's']) seen.add(ids.filter((id) => id === kind).length)
    })
    expect(turns).toBeGreaterThan(0)
    expect([...seen].filter((count) => count !== 0 && count !== MANY)).toEqual([])
    // The other program has one of them: none is added.
    await another.nodes.create(node(numbered('taken', 700)))
    await expectCode(store.nodes.createMany(manyNodes(MANY, 'taken')), 'ALREADY_EXISTS')
    expect(await another.nodes.count()).toBe(2 * MANY + 2)
  })

  test('paths are stored at once, or none', async () => {
    await using database = await open()
    const { store, another } = database
    const entries = Array.from({ length: MANY }, (_, k) => ({
      key: pathKey('a', 'b', (k % 1_000) + 1),
      bundle: bundle('a', 'b'),
    }))
    const seen = new Set<number>()
    await beside(store.pathCache.setMany(entries), async () => {
      await another.pathCache.set(pathKey('x', 'y'), bundle('x', 'y'))
      seen.add(await another.pathCache.count({ source: 'a' }))
    })
    expect([...seen].filter((count) => count !== 0 && count !== 1_000)).toEqual([])
  })

  test('no increment is lost, and the counter alone moves', async () => {
    await using database = await open()
    const { store, another } = database
    const { updatedAt } = await store.nodes.create(node('counted'))
    await Promise.all([store, another].map((on) => each(TURNS, () => on.nodes.recordRoutes('counted'))))
    expect(await store.nodes.get('counted')).toMatchObject({ routesDiscovered: 2 * TURNS, updatedAt })
  })

  test('calls on a row take effect in the order in which they were made', async () => {
    await using database = await open()
    const { store, another } = database
    await store.nodes.create(node('a'))
    const working = (async () => {
      for (let turn = 0; turn < TURNS; turn++) {
        store.nodes.update('a', { interfaces: ['first'] }).catch(() => {})
        const second = store.nodes.save(node('a', { interfaces: ['second'] }))
        const third = store.nodes.saveMany([node('a', { interfaces: ['third'] }), node(`b-${turn}`)])
        const last = store.nodes.update('a', { protocols: [`p-${turn}`] })
        expect((await second).interfaces).toEqual(['second'])
        expect((await third)[0]?.interfaces).toEqual(['third'])
        expect(await last).toMatchObject({ interfaces: ['third'], protocols: [`p-${turn}`] })
        const times = [await second, (await third)[0], await last].map((row) => row?.updatedAt.getTime() ?? 0)
        expect(times).toEqual([...new Set(times)].sort((a, b) => a - b))
      }
    })()
    await beside(working, () => another.nodes.recordRoutes('a'))
  })

  test('getMany() has those that exist, in the order asked for', async () => {
    await using database = await open()
    const { store, another } = database
    await store.nodes.createMany(manyNodes(100, 'stays'))
    const asked = Array.from({ length: 100 }, (_, index) => numbered('stays', 99 - index)).flatMap((id) => [
      id,
      `${id}-gone`,
    ])
    const working = (async () => {
      for (let turn = 0; turn < TURNS; turn++) {
        const ids = (await store.nodes.getMany(asked)).map(({ nodeId }) => nodeId)
        expect(ids).toEqual(asked.filter((id) => ids.includes(id)))
        expect(ids.filter((id) => !id.endsWith('-gone'))).toHaveLength(100)
      }
    })()
    await beside(working, async (turn) => {
      const id = `${numbered('stays', turn % 100)}-gone`
      await another.nodes.save(node(id))
      await another.nodes.delete(id)
    })
  })

  test('iterate() has each node at most once, in the order of the ids, and all that stay', async () => {
    await using database = await open()
    const { store, another } = database
    await store.nodes.createMany(manyNodes(MANY, 'stays'))
    const iterating = (async () => {
      for (const filter of [{}, { protocol: 'batman-adv' }, { started: false }]) {
        const ids: string[] = []
        for await (const { nodeId } of store.nodes.iterate(filter)) {
          ids.push(nodeId)
          // The other program comes between the pages.
          if (ids.length % 100 === 0) await another.nodes.save(node(`stays-${ids.length}x`))
        }
        expect(ids).toEqual([...new Set(ids)].sort())
        expect(ids.filter((id) => !id.endsWith('x'))).toHaveLength(MANY)
      }
    })()
    await beside(iterating, async (turn) => {
      await another.nodes.save(node(`moves-${turn}x`))
      await another.nodes.delete(`moves-${turn}x`)
    })
  })

  test('update() of a node that the other program has deleted is NOT_FOUND; save() keeps what it does not name', async () => {
    await using database = await open()
    const { store, another } = database
    const { createdAt } = await another.nodes.create(node('a', { started: true, routesDiscovered: 7 }))
    await store.nodes.save(node('a'))
    const read = await store.nodes.get('a')
    expect(read).toMatchObject({ createdAt, started: true, routesDiscovered: 7 })
    await another.nodes.update('a', { started: false })
    // A row that was read can be saved again, over the other program's later write.
    expect(await store.nodes.save(read as NewMeshNode)).toMatchObject({ createdAt, started: true })
    await another.nodes.delete('a')
    await expectCode(store.nodes.update('a', { started: true }), 'NOT_FOUND')
    const saved = await Promise.all([store, another].map((on) => on.nodes.saveMany([read as NewMeshNode])))
    expect(saved.flat().map(({ started }) => started)).toEqual([true, true])
  })

  test('delete() and the sweep say what they have deleted, though both programs delete', async () => {
    const clock = new Clock('2026-05-01T12:00:00.000Z')
    await using opened = await backend.open({ now: clock.now })
    const { store } = opened
    const another = await opened.openAgain({ now: clock.now })
    const keys = Array.from({ length: MANY }, (_, index) => pathKey('a', numbered('d', index)))
    const fill = (): Promise<void> =>
      store.pathCache.setMany(keys.map((key) => ({ key, bundle: bundle(key.source, key.destination), ttlSeconds: 10 })))
    await fill()
    const deleted = await each(100, async (index) => {
      const [key = pathKey('a', 'b')] = keys.slice(index)
      const both = await Promise.all([store, another].map((on) => on.pathCache.delete(key)))
      return both.filter(Boolean).length
    })
    expect(deleted).toEqual(Array.from({ length: 100 }, () => 1))
    clock.advance(11_000)
    const expired = await Promise.all([store, another].map((on) => on.pathCache.deleteExpired({ batchSize: 50 })))
    expect(expired.reduce((sum, count) => sum + count, 0)).toBe(MANY - 100)
    await fill()
    clock.advance(11_000)
    await another.pathCache.set(pathKey('x', 'y'), bundle('x', 'y'), { ttlSeconds: 100 })
    await Promise.all([store.pathCache.sweep(), another.pathCache.sweep()])
    expect(await store.pathCache.stats()).toMatchObject({ entries: 1, expired: 0 })
    expect(await all(store.pathCache.iterate())).toHaveLength(1)
  })
})
