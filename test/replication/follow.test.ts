import { describe, expect, test, vi } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { FolderPlace } from '../../src/replication/folder.ts'
import { Follower } from '../../src/replication/follow.ts'
import { runCommand } from '../cli/support/command.ts'
import { lastingBackends, sqliteFile } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node, policy } from '../support/samples.ts'
import { byHand, contentOf, emptyOn, restored, shipping } from './support/replicas.ts'

for (const backend of lastingBackends) {
  for (const to of lastingBackends) {
    describe(`a standby on ${to.name} of ${backend.name}`, () => {
      test('follows, is read-only, has a change stream, and is promoted; the old primary is fenced', async () => {
        using folder = temporaryFolder()
        const place = new FolderPlace(folder.file('replica'))
        await using opened = await backend.open()
        await using target = await emptyOn(to.name)
        await using it = await shipping(opened.url, place)
        await it.store.nodes.saveMany(manyNodes(300))
        await it.shipper.flush()
        const follower = await Follower.open(place, target.url)
        expect(await follower.catchUp()).toBe(1)
        const standby = await openStorage(target.url)
        expect(await contentOf(standby)).toEqual(await contentOf(it.store))
        const changes = standby.changes()
        await changes.ready()
        await it.store.nodes.delete('n-0001')
        await it.store.policies.save(policy('p'))
        await it.shipper.flush()
        expect(await follower.catchUp()).toBe(1)
        expect(await contentOf(standby)).toEqual(await contentOf(it.store))
        const heard: string[] = []
        while (heard.length < 2) {
          const { value } = await changes.next()
          if (value?.table !== 'path_cache') heard.push(`${value?.table} ${value?.operation} ${value?.key}`)
        }
        expect(heard.sort()).toEqual(['nodes delete n-0001', 'policies insert p'])
        await changes.return?.()
        await expect(standby.nodes.save(node('x'))).rejects.toMatchObject({ code: 'READ_ONLY' })
        await expect(standby.nodes.delete('n-0002')).rejects.toMatchObject({ code: 'READ_ONLY' })
        const refused = [
          standby.transaction((tx) => tx.policies.save(policy('q'))),
          standby.nodes.createMany(manyNodes(10, 'new')),
          standby.nodes.saveMany(manyNodes(10)),
          standby.nodes.updateMany({ prefix: 'n' }, { protocols: [] }),
          standby.nodes.deleteMany({ prefix: 'n' }),
          standby.nodes.recordRoutes('n-0002'),
          standby.policies.deleteMany({ prefix: 'p' }),
        ]
        for (const outcome of await Promise.allSettled(refused))
          expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'READ_ONLY' } })
        expect(await contentOf(standby)).toEqual(await contentOf(it.store))

        await it.store.nodes.save(node('last'))
        await it.shipper.flush()
        const { generation } = await follower.promote()
        expect(generation).toBe(2)
        await follower.close()
        expect(await contentOf(standby)).toEqual(await contentOf(it.store))
        await standby.nodes.save(node('written here'))
        await it.store.nodes.save(node('too late'))
        await expect(it.shipper.flush()).rejects.toMatchObject({ code: 'MOVED' })
        expect(it.shipper.health().problem).toMatchObject({ code: 'MOVED' })

        // The new primary ships to the same place.
        await standby.close()
        await using promoted = await openStorage({ url: target.url, ...byHand(place.name) })
        await promoted.flushReplica()
        expect((await restored(place.name)).content).toEqual(await contentOf(promoted))
        await it.store.nodes.save(node('still too late'))
        await expect(it.shipper.flush()).rejects.toMatchObject({ code: 'MOVED' })
      })
    })
  }
}

for (const to of lastingBackends) {
  test(`a follower of a standby on ${to.name} ends when another process promotes it, and takes nothing back`, async () => {
    using folder = temporaryFolder()
    const place = new FolderPlace(folder.file('replica'))
    await using opened = await sqliteFile.open()
    await using target = await emptyOn(to.name)
    await using it = await shipping(opened.url, place)
    await it.store.nodes.saveMany(manyNodes(20))
    await it.shipper.flush()
    const follower = await Follower.open(place, target.url)
    await follower.catchUp()
    const another = await Follower.open(place, target.url)
    await it.store.nodes.save(node('shipped last'))
    await it.shipper.flush()
    await another.promote()
    await another.close()
    await using promoted = await openStorage({ url: target.url, ...byHand(place.name) })
    await promoted.nodes.saveMany(manyNodes(30, 'acknowledged'))
    // A new generation and its base, which a standby loads.
    await promoted.flushReplica()
    await promoted.nodes.save(node('acknowledged last'))
    const expected = await contentOf(promoted)
    for (let round = 0; round < 2; round++)
      await expect(follower.step()).rejects.toMatchObject({ code: 'CONFIG', message: /was promoted/ })
    await follower.close()
    expect(await contentOf(promoted)).toEqual(expected)
    await promoted.nodes.save(node('still writable'))
    expect(expected.nodes.some(({ nodeId }) => nodeId === 'shipped last')).toBe(true)
  })

  test(`two processes that follow with one standby on ${to.name} are in nobody's way, until a promotion begins`, async () => {
    using folder = temporaryFolder()
    const place = new FolderPlace(folder.file('replica'))
    await using opened = await sqliteFile.open()
    await using target = await emptyOn(to.name)
    await using it = await shipping(opened.url, place)
    await it.store.nodes.saveMany(manyNodes(5))
    await it.shipper.flush()
    const first = await Follower.open(place, target.url)
    await first.catchUp()
    const second = await Follower.open(place, target.url)
    for (let round = 0; round < 4; round++) {
      await it.store.nodes.save(node(`round ${round}`))
      await it.store.nodes.recordRoutes('n-0001')
      await it.shipper.flush()
      // One is ahead of what the other one has seen.
      await (round % 2 === 0 ? first : second).catchUp()
    }
    await first.catchUp()
    await second.catchUp()
    expect(first.mark).toEqual(second.mark)
    await using standby = await openStorage({ url: target.url, readOnly: true })
    expect(await contentOf(standby)).toEqual(await contentOf(it.store))

    // The promotion is killed after its first note.
    using sealing = vi.spyOn(place, 'create').mockRejectedValue(new Error('killed'))
    await expect(second.promote()).rejects.toThrow('killed')
    sealing.mockRestore()
    await it.store.nodes.save(node('later'))
    await it.shipper.flush().catch(() => {})
    await expect(first.catchUp()).rejects.toMatchObject({ code: 'CONFIG', message: /promotion of .* has begun/ })
    expect(await runCommand(['follow', '--from', place.name, '--to', target.url, '--once'])).toMatchObject({ code: 2 })
    await second.promote()
    await Promise.all([first.close(), second.close()])
  })
}

for (const backend of lastingBackends.filter(({ name }) => name !== 'PostgreSQL')) {
  test(`an old primary on ${backend.name} refuses writes if told so, and follows the new one`, async () => {
    using folder = temporaryFolder()
    const to = folder.file('replica')
    await using opened = await backend.open()
    const store = await opened.reopen({ replicate: { to, everySeconds: 3_600, onFenced: 'refuse' } })
    await store.nodes.saveMany(manyNodes(20))
    await store.flushReplica()
    const url = folder.file('standby.db')
    const follower = await Follower.open(new FolderPlace(to), url)
    await follower.promote()
    await follower.close()
    await store.nodes.save(node('too late'))
    await expect(store.flushReplica()).rejects.toMatchObject({ code: 'MOVED' })
    await expect(store.nodes.save(node('refused'))).rejects.toMatchObject({ code: 'READ_ONLY' })
    await using promoted = await openStorage({ url, ...byHand(to) })
    await promoted.nodes.save(node('new'))
    await promoted.flushReplica()
    const back = await Follower.open(new FolderPlace(to), opened.url)
    await back.catchUp()
    await back.close()
    expect(await contentOf(store)).toEqual(await contentOf(promoted))
    expect((await contentOf(store)).nodes.some(({ nodeId }) => nodeId === 'too late')).toBe(false)
  })
}

test('a standby goes over to a new generation, and is killed and opened again in between', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  const place = new FolderPlace(to)
  const url = folder.file('standby.db')
  await using opened = await sqliteFile.open()
  await using it = await shipping(opened.url, place)
  await it.store.nodes.saveMany(manyNodes(50))
  await it.shipper.flush()
  {
    const follower = await Follower.open(place, url)
    await follower.catchUp()
    await follower.close()
  }
  await opened.other.execute('DELETE FROM meshstore_changes')
  await opened.other.execute('DELETE FROM meshstore_consumers')
  await opened.other.execute("DELETE FROM meshstore_state WHERE name = 'change_log'")
  await it.store.nodes.delete('n-0007')
  await it.store.nodes.save(node('n-0008', { routesDiscovered: 8 }))
  await it.shipper.flush()
  const follower = await Follower.open(place, url)
  await follower.catchUp()
  expect(follower.mark.generation).toBe(2)
  await using standby = await openStorage(url)
  expect(await contentOf(standby)).toEqual(await contentOf(it.store))
  await follower.close()
})

test('what was shipped between the last look and the fence is not lost', async () => {
  using folder = temporaryFolder()
  const place = new FolderPlace(folder.file('replica'))
  await using opened = await sqliteFile.open()
  await using it = await shipping(opened.url, place)
  await it.store.nodes.save(node('a'))
  await it.shipper.flush()
  // The primary ships while the promotion creates its generation.
  const racing = new FolderPlace(place.name)
  const create = racing.create.bind(racing)
  racing.create = async (name, bytes) => {
    if (name.endsWith('/begin')) {
      await it.store.nodes.save(node('b'))
      await it.shipper.flush()
    }
    return create(name, bytes)
  }
  const url = folder.file('standby.db')
  const follower = await Follower.open(racing, url)
  await follower.promote()
  await follower.close()
  await using standby = await openStorage(url)
  expect((await contentOf(standby)).nodes.map(({ nodeId }) => nodeId)).toEqual(['a', 'b'])
})

test('a primary that ships faster than the standby applies does not keep a promotion from its fence', async () => {
  using folder = temporaryFolder()
  const place = new FolderPlace(folder.file('replica'))
  await using opened = await sqliteFile.open()
  await using it = await shipping(opened.url, place)
  await it.store.nodes.save(node('a'))
  await it.shipper.flush()
  // Whenever the standby reads a segment, the next one is there already.
  const slow = new FolderPlace(place.name)
  const get = slow.get.bind(slow)
  let shipped = 0
  const isFenced = async (): Promise<boolean> => (await get('g000002/begin')) !== undefined
  slow.get = async (name) => {
    if (name.endsWith('.segment') && shipped < 50 && !(await isFenced())) {
      await it.store.nodes.save(node(`n${shipped++}`))
      await it.shipper.flush()
    }
    return get(name)
  }
  const url = folder.file('standby.db')
  const follower = await Follower.open(slow, url)
  await follower.promote()
  await follower.close()
  expect(shipped).toBeLessThan(50)
  await using standby = await openStorage(url)
  expect(await contentOf(standby)).toEqual(await contentOf(it.store))
})

test('the commands follow and promote; a database with rows of its own is refused', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  const url = folder.file('standby.db')
  await using opened = await sqliteFile.open(byHand(to))
  await opened.store.nodes.saveMany(manyNodes(5))
  await opened.store.flushReplica()
  expect(await runCommand(['promote', '--from', to, '--to', url])).toMatchObject({ code: 2 })
  const followed = await runCommand(['follow', '--from', to, '--to', url, '--once', '--json'])
  expect(followed).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(followed.stdout)).toMatchObject({ generation: 1, segment: 1 })
  expect(await runCommand(['promote', '--from', to, '--to', url])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Promoted: generation 2'),
  })
  expect(await runCommand(['follow', '--from', to, '--to', url, '--once'])).toMatchObject({ code: 2 })
})
