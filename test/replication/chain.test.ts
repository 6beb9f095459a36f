/** A chain stays whole by the intent, the hash of the segment before, and conditional creation. */
import { copyFileSync, cpSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openStorage, restoreBackup, StorageError } from '../../src/index.ts'
import { FolderPlace } from '../../src/replication/folder.ts'
import { verifyPlace } from '../../src/replication/verify.ts'
import { lastingBackends, sqliteFile } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node, policy } from '../support/samples.ts'
import { breaking, byHand, contentOf, objectsIn, restored, shipping } from './support/replicas.ts'

test('a file that was rolled back to a copy, and written since, begins a new generation', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await sqliteFile.open()
  {
    await using first = await openStorage({ url: opened.url, ...byHand(to) })
    await first.nodes.save(node('a'))
    await first.flushReplica()
    await first.nodes.save(node('b'))
    await first.flushReplica()
    // Consistent: nothing is written meanwhile, and the log is copied with the file.
    for (const end of ['', '-wal']) copyFileSync(opened.path + end, folder.file(`copy.db${end}`))
    for (const each of ['c', 'd', 'e']) {
      await first.nodes.save(node(each))
      await first.flushReplica()
    }
  }
  await using rolledBack = await openStorage({ url: folder.file('copy.db'), ...byHand(to) })
  for (const each of manyNodes(20)) await rolledBack.nodes.save(each)
  await rolledBack.flushReplica()
  const { content, reached } = await restored(to)
  expect(reached.generation).toBe(2)
  expect(content).toEqual(await contentOf(rolledBack))
  // The earlier generation's moments are still there.
  const before = await restored(to, 'g000001/5')
  expect(before.content.nodes.map(({ nodeId }) => nodeId)).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('a copy that ships to the place of its original is noticed by the original', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await sqliteFile.open(byHand(to))
  const { store } = opened
  await store.nodes.save(node('a'))
  await store.flushReplica()
  await store.backup(folder.file('backup.sqlite'))
  await restoreBackup(folder.file('backup.sqlite'), folder.file('copy.db'))
  await using copy = await openStorage({ url: folder.file('copy.db'), ...byHand(to) })
  await copy.nodes.save(node('of the copy'))
  await copy.flushReplica()
  await store.nodes.save(node('of the original'))
  await expect(store.flushReplica()).rejects.toMatchObject({ code: 'CONFLICT' })
  expect((await store.health()).replication?.problem).toMatchObject({ code: 'CONFLICT' })
  expect((await restored(to)).content).toEqual(await contentOf(copy))
})

for (const backend of lastingBackends) {
  describe(`a chain of ${backend.name}`, () => {
    test('goes on when replies of the place are lost, and each segment is shipped once', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open()
      let lost = 0
      const place = breaking(to, ({ create }) => ({
        create: async (name, bytes) => {
          const created = await create(name, bytes)
          if (name.includes('.') && created && ++lost % 2 === 1)
            throw new StorageError('UNAVAILABLE', 'The answer was lost.')
          return created
        },
      }))
      await using it = await shipping(opened.url, place)
      for (let turn = 0; turn < 6; turn++) {
        await it.store.nodes.save(node(`n${turn}`))
        await it.shipper.flush().catch(() => {})
      }
      await it.store.nodes.save(node('last'))
      for (;;) {
        const done = await it.shipper.flush().then(
          () => true,
          () => false,
        )
        if (done) break
      }
      expect(lost).toBeGreaterThan(5)
      const { content, problem } = await restored(to)
      expect(problem).toBeUndefined()
      expect(content).toEqual(await contentOf(it.store))
    })

    test('has one shipper of two, and the other stands by', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open()
      await using one = await shipping(opened.url, new FolderPlace(to))
      await using two = await shipping(opened.url, new FolderPlace(to))
      const results = await Promise.allSettled([one.shipper.flush(), two.shipper.flush()])
      expect(results.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
      for (let turn = 0; turn < 10; turn++) {
        await one.store.nodes.save(node(`n${turn}`))
        const shipped = await Promise.allSettled([one.shipper.flush(), two.shipper.flush()])
        expect(shipped.some(({ status }) => status === 'fulfilled')).toBe(true)
        expect(one.shipper.health().problem).toBeUndefined()
        expect(two.shipper.health().problem).toBeUndefined()
      }
      const { content, problem } = await restored(to)
      expect(problem).toBeUndefined()
      expect(content).toEqual(await contentOf(one.store))
    })

    test('goes on in its generation when two shippers were about to ship the same segment', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open()
      const isSegment = (name: string): boolean => name.endsWith('2.segment')
      const bothIntend = Promise.withResolvers<void>()
      const firstHasCreated = Promise.withResolvers<void>()
      const first = breaking(to, ({ create }) => ({
        create: async (name, bytes) => {
          if (!isSegment(name)) return create(name, bytes)
          await bothIntend.promise
          const created = await create(name, bytes)
          firstHasCreated.resolve()
          return created
        },
      }))
      const second = breaking(to, ({ create }) => ({
        create: async (name, bytes) => {
          if (isSegment(name)) {
            bothIntend.resolve()
            await firstHasCreated.promise
          }
          return create(name, bytes)
        },
      }))
      let time = 0
      const now = () => new Date(1_800_000_000_000 + ++time)
      await using one = await shipping(opened.url, first, { now })
      await using two = await shipping(opened.url, second, { now })
      await one.shipper.flush()
      await two.shipper.flush()
      await one.store.nodes.save(node('a'))
      const shipped = one.shipper.flush()
      two.shipper.start()
      await shipped
      while (!two.shipper.health().standsBy) await new Promise((done) => setTimeout(done, 1))
      await one.shipper.stop()
      await two.store.nodes.save(node('b'))
      await two.shipper.flush()
      const { content, reached } = await restored(to)
      expect(content).toEqual(await contentOf(two.store))
      expect(reached.generation).toBe(1)
    })

    test('ships bases while segments go on, and every base is compared', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open()
      await using it = await shipping(opened.url, new FolderPlace(to), { baseEverySegments: 3 })
      for (let turn = 0; turn < 12; turn++) {
        await it.store.nodes.saveMany(manyNodes(20, `n${turn}`))
        await it.store.policies.save(policy('p', `# ${turn}\n`))
        await it.shipper.flush()
      }
      expect(objectsIn(to).filter((name) => name.endsWith('.base.json')).length).toBeGreaterThan(2)
      const { content } = await restored(to, 'g000001/12')
      expect(content).toEqual(await contentOf(it.store))
      const { bases, problems } = await verifyPlace(new FolderPlace(to))
      expect(problems).toEqual([])
      expect(bases).toBeGreaterThan(2)
    })

    test('a migration begins a new generation', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open()
      await using it = await shipping(opened.url, new FolderPlace(to))
      const ledger = backend === sqliteFile ? '__drizzle_migrations' : 'drizzle.__drizzle_migrations'
      // The newest migration is not there yet.
      const isNewest = `created_at = (SELECT max(created_at) FROM ${ledger})`
      await opened.other.execute(`CREATE TABLE newest AS SELECT * FROM ${ledger} WHERE ${isNewest}`)
      await opened.other.execute(`DELETE FROM ${ledger} WHERE ${isNewest}`)
      await it.store.nodes.save(node('a'))
      await it.shipper.flush()
      await opened.other.execute(`INSERT INTO ${ledger} SELECT * FROM newest`)
      await it.store.nodes.save(node('b'))
      await it.shipper.flush()
      const { content, reached } = await restored(to)
      expect(reached.generation).toBe(2)
      expect(content).toEqual(await contentOf(it.store))
      await opened.other.execute('DROP TABLE newest')
    })
  })
}

test('a clock that is set back gives a time twice: the later segment is restored', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  const times = ['10:00', '10:30', '09:30', '09:40', '11:00'].map((time) => `2026-01-01T${time}:00.000Z`)
  await using opened = await sqliteFile.open()
  let turn = 0
  const now = () => new Date(times[turn] ?? '')
  await using it = await shipping(opened.url, new FolderPlace(to), { now })
  for (; turn < times.length; turn++) {
    await it.store.nodes.save(node('n', { routesDiscovered: turn }))
    await it.shipper.flush()
  }
  turn = 0
  const at = async (time: string) => (await restored(to, `2026-01-01T${time}:00Z`)).content.nodes[0]?.routesDiscovered
  expect([await at('10:00'), await at('10:40'), await at('11:10')]).toEqual([3, 3, 4])
  await expect(at('09:45')).rejects.toMatchObject({ code: 'CONFIG' })
})

test('a row that no other database can hold is named, and replication goes on when it is corrected', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await sqliteFile.open(byHand(to))
  const { store, other } = opened
  await store.policies.save(policy('p'))
  await store.flushReplica()
  await other.execute("UPDATE policies SET yaml_content = CAST(x'ff' AS TEXT) WHERE policy_id = 'p'")
  await expect(store.flushReplica()).rejects.toMatchObject({ code: 'CORRUPT', message: expect.stringContaining('"p"') })
  await store.policies.save(policy('p', '# well\n'))
  await store.flushReplica()
  expect((await restored(to)).content).toEqual(await contentOf(store))
})

test('a folder of one place is not taken for another one when it is copied', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await sqliteFile.open(byHand(to))
  await opened.store.nodes.save(node('a'))
  await opened.store.flushReplica()
  cpSync(to, folder.file('copied'), { recursive: true })
  expect((await restored(folder.file('copied'))).content).toEqual(await contentOf(opened.store))
})
