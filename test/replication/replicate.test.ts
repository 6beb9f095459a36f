import { rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lastingBackends } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node, policy } from '../support/samples.ts'
import { byHand, contentOf, objectsIn, restored } from './support/replicas.ts'

for (const backend of lastingBackends) {
  describe(`a replica of ${backend.name}`, () => {
    test('holds what was committed before flushReplica(), to the bit', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open(byHand(to))
      const { store } = opened
      await store.nodes.saveMany(manyNodes(1_200))
      await store.flushReplica()
      await store.nodes.save(node('late', { routesDiscovered: 7 }))
      await store.policies.save(policy('p', '# ünïcode \u{1f310}\nrules: []\n'))
      await store.nodes.delete('n-0003')
      await store.flushReplica()
      const { content, verified, problem, reached } = await restored(to)
      expect(content).toEqual(await contentOf(store))
      expect(problem).toBeUndefined()
      expect(verified).toBe(0)
      expect(reached).toMatchObject({ generation: 1, segment: 2 })
      const { replication, problems } = await store.health()
      expect(replication).toMatchObject({ place: to, problem: undefined, upTo: expect.any(Date) })
      expect(problems).toEqual([])
    })

    test('names the tables that it does not hold', async () => {
      using folder = temporaryFolder()
      await using opened = await backend.open()
      await opened.other.execute('CREATE TABLE links (id TEXT PRIMARY KEY)')
      try {
        await opened.other.execute("INSERT INTO links VALUES ('a')")
        const store = await opened.reopen(byHand(folder.file('replica')))
        await store.flushReplica()
        const { replication, problems } = await store.health()
        expect(replication?.leftBehind).toEqual(['links'])
        expect(problems.map(({ code }) => code)).toEqual(['SCHEMA_MISMATCH'])
      } finally {
        await opened.other.execute('DROP TABLE links')
      }
    })

    test('goes on in its generation after a restart, with what others wrote meanwhile', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open(byHand(to))
      await opened.store.nodes.save(node('a'))
      await opened.store.flushReplica()
      const other = await opened.reopen({})
      await other.nodes.save(node('b'))
      await other.nodes.delete('a')
      const store = await opened.reopen(byHand(to))
      await store.flushReplica()
      const { content, reached } = await restored(to)
      expect(content).toEqual(await contentOf(store))
      expect(reached.generation).toBe(1)
      expect(content.nodes.map(({ nodeId }) => nodeId)).toEqual(['b'])
    })

    test('begins a new generation when the change log was lost', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open(byHand(to))
      await opened.store.nodes.save(node('a'))
      await opened.store.flushReplica()
      await opened.other.execute('DELETE FROM meshstore_changes')
      await opened.other.execute('DELETE FROM meshstore_consumers')
      await opened.other.execute("DELETE FROM meshstore_state WHERE name = 'change_log'")
      await opened.store.nodes.save(node('unheard'))
      const store = await opened.reopen(byHand(to))
      await store.flushReplica()
      const { content, reached } = await restored(to)
      expect(reached.generation).toBe(2)
      expect(content).toEqual(await contentOf(store))
    })

    test('restores each segment, and the moment of it', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open(byHand(to))
      const { store } = opened
      const expected = []
      for (let turn = 1; turn <= 4; turn++) {
        await store.nodes.save(node(`n${turn}`))
        if (turn === 3) await store.nodes.delete('n1')
        await store.flushReplica()
        expected.push(await contentOf(store))
      }
      for (const [index, content] of expected.entries()) {
        const by = await restored(to, `g000001/${index + 1}`)
        expect(by.content).toEqual(content)
        expect((await restored(to, by.reached.at)).content).toEqual(content)
      }
    })

    test('ships in the background, and idles without segments', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open({ replicate: { to, everySeconds: 0.05 } })
      const { store } = opened
      await store.nodes.save(node('a'))
      const shipped = await store.nodes.get('a')
      const upTo = async () => (await store.health()).replication?.upTo ?? new Date(0)
      while ((await upTo()) <= (shipped?.updatedAt ?? new Date())) await new Promise((done) => setTimeout(done, 10))
      const objects = objectsIn(to)
      const before = await upTo()
      while ((await upTo()) <= before) await new Promise((done) => setTimeout(done, 10))
      expect(objectsIn(to)).toEqual(objects)
      expect((await restored(to)).content).toEqual(await contentOf(store))
    })

    test('of another database is refused, and nothing is written there', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using first = await backend.open(byHand(to))
      await first.store.flushReplica()
      const objects = objectsIn(to)
      await using second = await backend.open(byHand(to))
      await expect(second.store.flushReplica()).rejects.toMatchObject({ code: 'CONFIG' })
      expect(objectsIn(to)).toEqual(objects)
      const { problems } = await second.store.health()
      expect(problems).toMatchObject([{ code: 'CONFIG', message: expect.stringContaining('another database') }])
    })

    test('that cannot be written refuses no write, and is caught up with', async () => {
      using folder = temporaryFolder()
      const to = folder.file('missing', 'replica')
      await using opened = await backend.open(byHand(to))
      const { store } = opened
      await expect(store.flushReplica()).rejects.toMatchObject({ code: 'CONFIG' })
      await store.nodes.save(node('a'))
      const { mkdirSync } = await import('node:fs')
      mkdirSync(folder.file('missing'))
      await store.flushReplica()
      expect((await restored(to)).content).toEqual(await contentOf(store))
      // The disk goes, and comes back empty.
      rmSync(to, { recursive: true })
      await Promise.all([store.nodes.save(node('b')), store.nodes.createMany(manyNodes(300)), store.nodes.delete('a')])
      const flushing = store.flushReplica().catch((error: unknown) => error)
      await Promise.all([store.nodes.save(node('c')), store.nodes.deleteMany({ prefix: 'n' }), store.nodes.delete('b')])
      expect(await flushing).toMatchObject({ code: 'UNAVAILABLE' })
      expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['c'])
    })
  })
}
