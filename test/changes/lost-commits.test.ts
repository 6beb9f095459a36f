/** A server that lost commits, as after a fail-over to a standby that had not received everything, or of another server's dump. */
import { expect, test } from 'vitest'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { FORGETFUL, MistakenSource } from '../faults/cluster/mistaken-source.ts'
import { asSoonAsAvailable } from '../postgres/support/eventually.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { bound } from '../support/bounds.ts'
import { expectCode } from '../support/expectations.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { manyNodes, node } from '../support/samples.ts'
import { committed, subscribed, take } from './support/reading.ts'

const ROUNDS = bound('LOST_COMMITS', { brief: 2, short: 6, long: 50 })
const LONG = { timeout: 600_000 }

const open = (server: PostgresServer): Promise<Meshstore> =>
  openStorage({ url: server.url('postgres'), pathCache: { sweepSeconds: 0.2 } })
const keysOf = (changes: { key?: string | undefined }[]): unknown[] => changes.map(({ key }) => key)

/** Reads until an error, as an application does that tries again while the server is away. */
async function failureOf(changes: AsyncIterator<unknown>): Promise<unknown> {
  for (;;) {
    try {
      await asSoonAsAvailable(() => changes.next())
    } catch (error) {
      return error
    }
  }
}

describePostgres('changes of a server that lost commits', () => {
  test('every subscriber that has read lost ones is told, and no other one', LONG, async () => {
    const server = await startPostgres()
    try {
      for (let round = 0; round < ROUNDS; round++) {
        await using store = await open(server)
        const live = await subscribed(store)
        const early = await subscribed(store)
        const behind = await subscribed(store)
        await store.nodes.saveMany(manyNodes(20))
        const kept = (await take(early, 20)).at(-1)?.token
        await store.nodes.save(node(`kept-${round}`))
        await take(live, 21)
        await server.save()
        const lost: string[] = []
        for (let turn = 0; turn < 30; turn++) {
          await asSoonAsAvailable(() => store.nodes.save(node(`lost-${round}-${turn}`)))
          const [change] = await take(live, 1)
          lost.push(change?.token ?? '')
        }
        await server.rollBack()
        // As many ids as were lost are given again.
        for (let turn = 0; turn < 60; turn++) {
          await asSoonAsAvailable(() => store.nodes.save(node(`new-${round}-${turn}`)))
        }
        expect(await failureOf(live)).toMatchObject({ code: 'CHANGES_MISSED' })
        for (const token of lost) await expectCode(store.changes({ after: token }).ready(), 'CHANGES_MISSED')
        const fresh = Array.from({ length: 60 }, (_, turn) => `new-${round}-${turn}`)
        const resumed = await subscribed(store, { after: kept })
        expect(keysOf(await take(resumed, 61))).toEqual([`kept-${round}`, ...fresh])
        expect(keysOf(await take(behind, 81)).slice(-60)).toEqual(fresh)
      }
    } finally {
      await server.stop()
    }
  })

  test('the digest alone tells: without its comparison, a subscriber misses changes silently', LONG, async () => {
    using copy = new MistakenSource(FORGETFUL)
    const mistaken: { openStorage: typeof openStorage } = await import(`${copy.root}/src/index.ts`)
    const server = await startPostgres()
    try {
      // Without sweeps, which use transaction ids as well.
      const settings = { url: server.url('postgres'), pathCache: { sweepSeconds: 3_600 } }
      await using store = await openStorage(settings)
      const live = await subscribed(store)
      // The server keeps the beat of the subscription, so that only the changes after it are lost.
      await server.save()
      for (let turn = 0; turn < 10; turn++) await asSoonAsAvailable(() => store.nodes.save(node(`lost-${turn}`)))
      // Read together: a beat between them would be lost, and would tell as well.
      const after = (await asSoonAsAvailable(() => take(live, 10))).at(-1)?.token
      await server.rollBack()
      for (let turn = 0; turn < 40; turn++) await asSoonAsAvailable(() => store.nodes.save(node(`new-${turn}`)))
      await expectCode(store.changes({ after }).ready(), 'CHANGES_MISSED')
      await using forgetful = await mistaken.openStorage(settings)
      const heard = await committed(await subscribed(forgetful, { after }), forgetful)
      const silent = Array.from({ length: 40 }, (_, turn) => `insert nodes new-${turn}`).filter(
        (each) => !heard.includes(each),
      )
      expect(silent).not.toEqual([])
    } finally {
      await server.stop()
    }
  })

  test('one that waits is told when ids that it has read are given again', LONG, async () => {
    const server = await startPostgres()
    try {
      await using store = await open(server)
      const live = await subscribed(store)
      await store.nodes.create(node('kept'))
      await take(live, 1)
      await server.save()
      await asSoonAsAvailable(() => store.nodes.createMany(manyNodes(5)))
      await take(live, 5)
      await server.rollBack()
      await asSoonAsAvailable(() => store.nodes.save(node('one')))
      expect(await failureOf(live)).toMatchObject({ code: 'CHANGES_MISSED' })
    } finally {
      await server.stop()
    }
  })

  test('nobody is told of a crash that lost nothing', LONG, async () => {
    const server = await startPostgres()
    try {
      await using store = await open(server)
      const live = await subscribed(store)
      const tokens: (string | undefined)[] = []
      for (let round = 0; round < ROUNDS; round++) {
        await asSoonAsAvailable(() => store.nodes.save(node(`a-${round}`)))
        tokens.push((await asSoonAsAvailable(() => take(live, 1)))[0]?.token)
        await server.crash()
        await asSoonAsAvailable(() => store.nodes.save(node(`b-${round}`)))
        tokens.push((await asSoonAsAvailable(() => take(live, 1)))[0]?.token)
      }
      for (const after of tokens) await subscribed(store, { after })
    } finally {
      await server.stop()
    }
  })

  test(
    'a crash with synchronous_commit=off is told: on the same server, whose clock and timeline say nothing',
    LONG,
    async () => {
      const server = await startPostgres(['wal_writer_delay=10000ms', 'synchronous_commit=off'])
      try {
        await using store = await open(server)
        const live = await subscribed(store)
        await store.nodes.create(node('kept'))
        await take(live, 1)
        await server.ask('CHECKPOINT')
        await store.nodes.createMany(manyNodes(3))
        const lost = (await take(live, 3)).at(-1)?.token
        await server.crash()
        expect(await server.ask('SELECT 1 FROM nodes')).toHaveLength(1)
        for (let turn = 0; turn < 20; turn++) await asSoonAsAvailable(() => store.nodes.save(node(`new-${turn}`)))
        await expectCode(store.changes({ after: lost }).ready(), 'CHANGES_MISSED')
        expect(await failureOf(live)).toMatchObject({ code: 'CHANGES_MISSED' })
      } finally {
        await server.stop()
      }
    },
  )

  test(
    'beats are committed once a second for all subscribers of a store, and none while nothing changes',
    LONG,
    async () => {
      const server = await startPostgres()
      try {
        await using store = await open(server)
        const readers = await Promise.all(Array.from({ length: 10 }, () => subscribed(store)))
        const begun = performance.now()
        let written = 0
        while (performance.now() - begun < 3_000) {
          await store.nodes.save(node(`n-${written++}`))
          await Promise.all(readers.map((each) => take(each, 1)))
        }
        const beats = async (): Promise<number> =>
          (await server.ask("SELECT 1 FROM meshstore_consumers WHERE name LIKE 'beat:%'")).length
        const after = await beats()
        // Each has one from its beginning.
        expect(after).toBeGreaterThan(10)
        expect(after).toBeLessThanOrEqual(10 + Math.ceil((performance.now() - begun) / 1_000) + 1)
      } finally {
        await server.stop()
      }
    },
  )
})
