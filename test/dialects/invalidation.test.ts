/** Cached paths, and what several processes do to them at the same time. */
import { expect, test } from 'vitest'
import type { Meshstore } from '../../src/index.ts'
import { held, unexpected } from '../conformance/path-cache/held.ts'
import type { LastingStore } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { eachLastingBackend } from '../support/settings.ts'
import { record } from '../support/tracing.ts'

const A_B = pathKey('a', 'b')
const FOUND = bundle('a', 'b')

class Undo extends Error {}

/** A change that is made while paths from a to b, by way of relay, are computed. */
interface Meanwhile {
  readonly what: string
  readonly change: (store: Meshstore, opened: LastingStore) => Promise<unknown>
  readonly stored: boolean
}

const MEANWHILE: readonly Meanwhile[] = [
  { what: 'nothing happens', change: async () => {}, stored: true },
  { what: 'a node on the way is deleted', change: ({ nodes }) => nodes.delete('relay'), stored: false },
  { what: 'a node on the way stops', change: ({ nodes }) => nodes.update('relay', { started: false }), stored: false },
  { what: 'an end changes', change: ({ nodes }) => nodes.update('a', { protocols: [] }), stored: false },
  { what: 'another node changes', change: ({ nodes }) => nodes.update('other', { started: false }), stored: true },
  { what: 'a policy is added', change: ({ policies }) => policies.create(policy('p')), stored: false },
  { what: 'the source is invalidated', change: (store) => store.pathCache.invalidate({ source: 'a' }), stored: false },
  {
    what: 'the pair is',
    change: (store) => store.pathCache.invalidate({ source: 'a', destination: 'b' }),
    stored: false,
  },
  { what: 'another pair is', change: (store) => store.pathCache.invalidate({ source: 'b' }), stored: true },
  {
    what: 'the node on the way is',
    change: (store) => store.pathCache.invalidate({ through: 'relay' }),
    stored: false,
  },
  { what: 'all is cleared', change: (store) => store.pathCache.clear(), stored: false },
  {
    what: 'all that is undone',
    change: async (store) => {
      const undone = store.transaction(async (tx) => {
        await tx.nodes.delete('relay')
        await tx.pathCache.invalidate({ source: 'a' })
        await tx.pathCache.clear()
        throw new Undo()
      })
      await expect(undone).rejects.toThrow(Undo)
    },
    stored: true,
  },
  {
    what: 'it is invalidated and swept',
    change: async (store) => {
      await store.nodes.delete('relay')
      await store.pathCache.sweep()
      await store.pathCache.sweep()
    },
    stored: false,
  },
  {
    what: 'another program changes a node',
    change: (_, { other }) => other.execute("UPDATE nodes SET protocols = '[]' WHERE node_id = 'relay'"),
    stored: false,
  },
  {
    what: 'another program deletes the policies',
    change: (_, { other }) => other.execute('DELETE FROM policies'),
    stored: false,
  },
]

eachLastingBackend('paths that are computed while', (backend) => {
  for (const where of ['this process', 'another store'] as const)
    test.each(MEANWHILE)(`$what, in ${where}`, async ({ change, stored }) => {
      await using opened = await backend.open()
      const { store } = opened
      await fill(store)
      const beside = where === 'this process' ? store : await opened.openAgain()
      const { compute, resolve, begun } = held()
      using recorded = record('cache', 'asyncEnd')
      const waiting = store.pathCache.resolve(A_B, compute)
      await begun
      await change(beside, opened)
      resolve(FOUND)
      expect(await waiting, 'who waits gets them').toMatchObject({ bundle: FOUND, origin: 'computed' })
      expect(recorded.events.at(-1)?.notStored).toBe(stored ? undefined : 'INVALIDATED')
      expect(await store.pathCache.get(A_B)).toEqual(stored ? FOUND : undefined)
      expect((await store.pathCache.stats()).entries).toBe(stored ? 1 : 0)
    })

  test.each(MEANWHILE)(
    '$what: who asks after it gets what is computed after it, though it joined',
    async ({ change, stored }) => {
      await using opened = await backend.open()
      const { store } = opened
      await fill(store)
      const before = held()
      const first = store.pathCache.resolve(A_B, before.compute)
      await before.begun
      await change(store, opened)
      const after = held()
      const joining = Array.from({ length: 3 }, () => store.pathCache.resolve(A_B, after.compute))
      before.resolve(FOUND)
      expect(await first).toMatchObject({ bundle: FOUND, origin: 'computed' })
      const later = bundle('a', 'b', 2)
      after.resolve(later)
      for (const each of joining)
        expect(await each).toMatchObject({ bundle: stored ? FOUND : later, origin: 'computed' })
      expect(after.calls()).toBe(stored ? 0 : 1)
      expect(await store.pathCache.get(A_B)).toEqual(stored ? FOUND : later)
      expect(await store.pathCache.stats()).toMatchObject(
        stored ? { computations: 1, misses: 4, joined: 3 } : { computations: 2, misses: 4, joined: 2 },
      )
    },
  )

  test('they are deleted by their key, in this process', async () => {
    await using opened = await backend.open()
    const { compute, resolve, begun } = held()
    const waiting = opened.store.pathCache.resolve(A_B, compute)
    await begun
    expect(await opened.store.pathCache.delete(A_B)).toBe(false)
    resolve(FOUND)
    expect(await waiting).toMatchObject({ bundle: FOUND })
    expect(await opened.store.pathCache.get(A_B)).toBeUndefined()
    expect(await opened.store.pathCache.getOrCompute(A_B, () => FOUND)).toEqual(FOUND)
    expect(await opened.store.pathCache.getOrCompute(A_B, unexpected)).toEqual(FOUND)
  })

  test('what one store invalidates, no other store serves', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await fill(store)
    const beside = await opened.openAgain()
    const reader = await opened.openAgain({ readOnly: true })
    for (let round = 0; round < 20; round++) {
      await beside.pathCache.set(A_B, FOUND)
      expect(await reader.pathCache.get(A_B)).toEqual(FOUND)
      await store.nodes.update('relay', { started: round % 2 === 1 })
      expect(await beside.pathCache.get(A_B)).toBeUndefined()
      expect(await reader.pathCache.get(A_B)).toBeUndefined()
      if (round % 5 === 4) await beside.pathCache.sweep()
    }
    await expectCode(reader.pathCache.sweep(), 'READ_ONLY')
  })

  test('a transaction that has not seen a change stores nothing that outlives it, though it is swept meanwhile', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await fill(store)
    const beside = await opened.openAgain()
    const read = Promise.withResolvers<void>()
    const swept = Promise.withResolvers<void>()
    let attempts = 0
    const storing = beside.transaction(async (tx) => {
      attempts++
      const relay = await tx.nodes.get('relay')
      read.resolve()
      if (attempts === 1) await swept.promise
      if (relay !== undefined) await tx.pathCache.set(A_B, FOUND)
    })
    await read.promise
    // On SQLite it waits for the transaction, on PostgreSQL it overtakes it.
    const deleted = store.nodes.delete('relay')
    if (store.dialect === 'postgresql') await deleted
    const sweeping = store.pathCache.sweep()
    if (store.dialect === 'postgresql') await sweeping
    swept.resolve()
    await Promise.all([storing, deleted, sweeping])
    expect(await store.pathCache.get(A_B)).toBeUndefined()
    await store.pathCache.sweep()
    expect(await store.pathCache.get(A_B)).toBeUndefined()
    await store.pathCache.set(A_B, FOUND)
    await store.pathCache.sweep()
    expect(await store.pathCache.get(A_B), 'what is stored afterwards is valid').toEqual(FOUND)
  })

  test('the kind of invalidation is the database’s, until somebody says otherwise', async () => {
    await using opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    const { store } = opened
    await fill(store)
    const beside = await opened.openAgain()
    expect((await beside.pathCache.stats()).invalidation).toBe('manual')
    await beside.pathCache.set(A_B, FOUND)
    await beside.nodes.delete('relay')
    await opened.other.execute("DELETE FROM nodes WHERE node_id = 'other'")
    expect(await store.pathCache.get(A_B)).toEqual(FOUND)
    await expectCode(opened.openAgain({ readOnly: true, pathCache: { invalidation: 'topology' } }), 'CONFIG')
    await opened.openAgain({ readOnly: true, pathCache: { invalidation: 'manual' } })
    const topology = await opened.openAgain({ pathCache: { invalidation: 'topology' } })
    expect((await store.pathCache.stats()).invalidation).toBe('topology')
    await store.nodes.delete('a')
    expect(await topology.pathCache.get(A_B)).toBeUndefined()
  })

  test('when the sweep fails, health() says so, until it succeeds', async () => {
    await using opened = await backend.open({ pathCache: { sweepSeconds: 0.1 } })
    const { store, other } = opened
    const problems = async () => (await store.health()).problems.map(({ message }) => message)
    await store.pathCache.set(A_B, FOUND)
    await other.execute('ALTER TABLE path_cache RENAME TO elsewhere')
    while ((await problems()).length < 2) await later()
    expect(await problems()).toEqual([
      expect.stringMatching(/Missing: path_cache \(the table\)\./),
      expect.stringMatching(/^The sweep of the path cache failed: /),
    ])
    await other.execute('ALTER TABLE elsewhere RENAME TO path_cache')
    while ((await problems()).length > 0) await later()
  })

  test('when the change log cannot be pruned, health() names that alone: the sweep goes on', async () => {
    await using opened = await backend.open({ pathCache: { sweepSeconds: 0.1 } })
    const { store, other } = opened
    // Beside them, health() says that a table is gone.
    const problems = async () =>
      (await store.health()).problems.map(({ message }) => message).filter((message) => message.includes(' failed: '))
    const changes = store.changes()
    await changes.ready()
    await other.execute('ALTER TABLE meshstore_consumers RENAME TO elsewhere')
    await store.pathCache.set(A_B, FOUND, { ttlSeconds: 0.001 })
    while ((await problems()).length === 0) await later()
    expect(await problems()).toEqual([expect.stringMatching(/^The pruning of the change log failed: /)])
    while ((await store.pathCache.stats()).entries > 0) await later()
    await other.execute('ALTER TABLE elsewhere RENAME TO meshstore_consumers')
    while ((await problems()).length > 0) await later()
    await changes.return?.()
  })
})

const later = (): Promise<void> => new Promise((done) => setTimeout(done, 20))

async function fill({ nodes, policies }: Meshstore): Promise<void> {
  await nodes.createMany(['a', 'b', 'relay', 'other'].map((id) => node(id, { started: true })))
  await policies.create(policy('there'))
}
