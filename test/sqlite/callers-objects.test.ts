/** A store takes what it is given as it is at the call. */
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { opened } from './support/opened.ts'

describe('what a caller changes after the call does not reach the database:', () => {
  const changed = (nodeId: string) => node(nodeId, { interfaces: ['eth0'], createdAt: new Date(1_000) })
  const spoil = (given: ReturnType<typeof changed>): void => {
    given.interfaces.push('changed')
    given.createdAt?.setTime(2_000)
    Object.assign(given, { started: true, nodeId: 'changed' })
  }

  test('a node that is created or saved', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    const [created, saved] = [changed('created'), changed('saved')]
    const writes = [store.nodes.create(created), store.nodes.save(saved)]
    spoil(created)
    spoil(saved)
    await Promise.all(writes)
    expect(await store.nodes.get('created')).toMatchObject({
      interfaces: ['eth0'],
      started: false,
      createdAt: new Date(1_000),
    })
    expect(await store.nodes.get('saved')).toMatchObject({ interfaces: ['eth0'], started: false })
    expect(await store.nodes.get('changed')).toBeUndefined()
  })

  test.each([2, 3_000])('%i nodes in one call', async (length) => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    const nodes = Array.from({ length }, (_, index) => changed(`n${index}`))
    const writing = store.nodes.createMany(nodes)
    for (const each of nodes) spoil(each)
    nodes.length = 1
    expect(await writing).toHaveLength(length)
    const last = await store.nodes.get(`n${length - 1}`)
    expect(last).toMatchObject({ interfaces: ['eth0'], started: false, createdAt: new Date(1_000) })
  })

  test('a patch and its condition', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    const { updatedAt } = await store.nodes.create(node('a'))
    const patch = { protocols: ['cjdns'], started: false }
    const ifUpdatedAt = new Date(updatedAt)
    const writing = store.nodes.update('a', patch, { ifUpdatedAt })
    patch.protocols.push('changed')
    patch.started = true
    ifUpdatedAt.setTime(0)
    expect(await writing).toMatchObject({ protocols: ['cjdns'], started: false })
    expect(await store.nodes.get('a')).toMatchObject({ protocols: ['cjdns'], started: false })
  })

  test('a policy', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    await store.policies.create({ policyId: 'first', yamlContent: 'rules: []' })
    const policy = { policyId: 'a', yamlContent: 'rules: [1]' }
    const writing = store.policies.create(policy)
    policy.yamlContent = 'rules: [1, 2]'
    await writing
    expect(await store.policies.get('a')).toMatchObject({ yamlContent: 'rules: [1]', rulesCount: 1 })
  })

  test('a path', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    const paths = ['a', 'b'].map((source) => ({
      key: { source, destination: 'z', k: 1 },
      bundle: { source, destination: 'z', primary: [{ nodes: [source, 'z'] }] },
    }))
    const [a, b] = paths
    if (a === undefined || b === undefined) throw new Error('Two were made.')
    const writes = [store.pathCache.set(a.key, a.bundle), store.pathCache.setMany([b])]
    for (const { key, bundle } of paths) {
      key.destination = 'changed'
      bundle.primary.push({ nodes: ['changed'] })
    }
    await Promise.all(writes)
    for (const source of ['a', 'b']) {
      const found = await store.pathCache.get({ source, destination: 'z', k: 1 })
      expect(found).toEqual({ source, destination: 'z', primary: [{ nodes: [source, 'z'] }] })
    }
  })
})
