/** Writes that wait together are committed together, on a real file. */
import { tracingChannel } from 'node:diagnostics_channel'
import Sqlite from 'better-sqlite3'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WriteQueue } from '../../src/database/sqlite/write-queue.ts'
import { type Meshstore, openStorage, type StorageOptions } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { sqliteProgram } from '../support/other-program.ts'
import { manyNodes, node } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { outcomes, tally } from './support/settled.ts'

const COMMIT = tracingChannel('meshstore:commit')

/** Open, with everything loaded that is loaded at the first write. */
async function opened(path: string, options: Omit<StorageOptions, 'url'> = {}): Promise<Meshstore> {
  const store = await openStorage({ url: path, ...options })
  await store.nodes.create(node('first'))
  return store
}

/** The bound in milliseconds ends no batch while time stands still. */
const timeStandsStill = (): unknown => vi.useFakeTimers({ toFake: ['performance'] })
afterEach(() => {
  vi.useRealTimers()
})

describe('a batch', () => {
  test('is one commit for all writes of one turn of the event loop', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    timeStandsStill()
    using commits = record('commit', 'end')
    const nodes = manyNodes(400)
    await Promise.all(nodes.map((each) => store.nodes.create(each)))
    expect(commits.events.map(({ batch }) => batch)).toEqual([400])

    await Promise.all(nodes.map(({ nodeId }) => store.nodes.recordRoutes(nodeId)))
    await store.nodes.recordRoutes('n-0000')
    await store.nodes.recordRoutes('n-0000')
    expect(commits.events.map(({ batch }) => batch)).toEqual([400, 400, 1, 1])
  })

  test('is bounded', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    timeStandsStill()
    using commits = record('commit', 'end')
    await Promise.all(manyNodes(2_500).map((each) => store.nodes.create(each)))
    expect(commits.events.map(({ batch }) => batch)).toEqual([1_000, 1_000, 500])
  })

  test('takes its members in the order of arrival, and each sees those before it', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    const counted = await Promise.all(Array.from({ length: 200 }, () => store.nodes.recordRoutes('first')))
    expect(counted.map(({ routesDiscovered }) => routesDiscovered)).toEqual(counted.map((_, index) => index + 1))

    const patches = Array.from({ length: 200 }, (_, index) => ({ protocols: [`p${index}`] }))
    const updated = await Promise.all(patches.map((patch) => store.nodes.update('first', patch)))
    expect(updated.map(({ protocols }) => protocols)).toEqual(patches.map(({ protocols }) => protocols))
    expect(await store.nodes.get('first')).toEqual(updated.at(-1))
  })

  test('takes writes of every kind in the order in which they were called', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    const { nodes } = store
    const calls = [
      nodes.create(node('a')),
      nodes.recordRoutes('a', 5),
      nodes.update('a', { started: true }),
      nodes.save(node('a', { protocols: ['cjdns'] })),
      nodes.delete('a'),
      nodes.create(node('a', { interfaces: ['again'] })),
    ]
    expect(await outcomes(calls)).toEqual(calls.map(() => 'done'))
    expect(await nodes.get('a')).toMatchObject({ interfaces: ['again'], routesDiscovered: 0, started: false })
  })

  test('hands out results and errors only when it has been committed', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await opened(path)
    using other = disposable(new Sqlite(path, { readonly: true }))
    const count = other.raw.prepare<[], number>('SELECT count(*) FROM nodes').pluck()
    timeStandsStill()

    let settled = 0
    const seenWhenSettled = new Set<number | undefined>()
    const seenAtCommit: unknown[] = []
    const onEnd = (): void => void seenAtCommit.push({ settled, rows: count.get() })
    COMMIT.end.subscribe(onEnd)
    const nodes = [...manyNodes(50), node('first'), ...manyNodes(50, 'm')]
    const writes = nodes.map((each) =>
      store.nodes.create(each).finally(() => {
        settled++
        seenWhenSettled.add(count.get())
      }),
    )
    expect(tally(await outcomes(writes))).toEqual({ done: 100, ALREADY_EXISTS: 1 })
    COMMIT.end.unsubscribe(onEnd)

    expect(seenAtCommit).toEqual([{ settled: 0, rows: 101 }])
    expect([...seenWhenSettled]).toEqual([101])
    expect(settled).toBe(101)
  })

  test('says how many writes it holds when its time is up early', async () => {
    using folder = temporaryFolder()
    using file = disposable(new Sqlite(folder.file('plain.db')))
    const queue = new WriteQueue(file.raw, { busyTimeoutMs: 1_000, maxPendingWrites: 1_000, onIdle: () => {} })
    timeStandsStill()
    using commits = record('commit', 'end')
    // Each takes 4 ms of a batch's 10.
    const writes = Array.from({ length: 12 }, () => queue.write(() => vi.advanceTimersByTime(4)))
    await Promise.all(writes)
    expect(commits.events.length).toBeGreaterThan(1)
    expect(commits.events.reduce((sum, { batch }) => sum + batch, 0)).toBe(writes.length)
  })
})

describe('a member that fails', () => {
  test('fails alone', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await opened(path)
    await store.nodes.create(node('broken'))
    const other = sqliteProgram(path)
    await other.corrupt('nodes', 'broken', { interfaces: '[1]' })
    const broken = await other.row('nodes', 'broken')
    timeStandsStill()
    using commits = record('commit', 'end')
    const codes = await outcomes([
      store.nodes.update('first', { started: true }),
      store.nodes.update('broken', { protocols: ['new'] }),
      store.nodes.update('nobody', { started: true }),
      store.nodes.create(node('a')),
      store.nodes.create(node('first')),
      store.nodes.create(node('b')),
    ])
    expect(codes).toEqual(['done', 'CORRUPT', 'NOT_FOUND', 'done', 'ALREADY_EXISTS', 'done'])
    expect(commits.events.map(({ batch }) => batch)).toEqual([6])
    // Updated, found to be broken, and undone.
    expect(await other.row('nodes', 'broken')).toEqual(broken)
    expect(await store.nodes.getMany(['first', 'a', 'b'])).toMatchObject([{ started: true }, {}, {}])
  })

  test('takes all of its own rows with it, and nobody else’s', async () => {
    using folder = temporaryFolder()
    await using store = await opened(folder.file('mesh.db'))
    timeStandsStill()
    using commits = record('commit', 'end')
    const codes = await outcomes([
      store.nodes.createMany(manyNodes(20, 'a')),
      store.nodes.createMany([...manyNodes(20, 'b'), node('first')]),
      store.nodes.createMany(manyNodes(20, 'c')),
    ])
    expect(codes).toEqual(['done', 'ALREADY_EXISTS', 'done'])
    expect(commits.events.map(({ batch }) => batch)).toEqual([3])
    expect(await store.nodes.count()).toBe(41)
    expect(await store.nodes.get('b-0000')).toBeUndefined()
  })
})

test('past maxPendingWrites a write is refused with BUSY, which is retryable, and nothing else is', async () => {
  using folder = temporaryFolder()
  await using store = await opened(folder.file('mesh.db'), { maxPendingWrites: 10 })
  const nodes = manyNodes(15)
  const codes = await outcomes(nodes.map((each) => store.nodes.create(each)))
  expect(codes).toEqual([...Array(10).fill('done'), ...Array(5).fill('BUSY')])
  expect(await store.nodes.count()).toBe(11)

  const filling = manyNodes(10, 'm').map((each) => store.nodes.create(each))
  const refused = await expectCode(store.nodes.create(node('late')), 'BUSY')
  expect(refused.retryable).toBe(true)
  await Promise.all(filling)
  await store.nodes.create(node('late'))
})

describe('close()', () => {
  test('finishes the writes that were accepted', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const store = await opened(path)
    const counted = Array.from({ length: 3_000 }, () => store.nodes.recordRoutes('first'))
    const inTransaction = store.transaction((tx) => tx.nodes.create(node('in-transaction')))
    const closed = store.close()
    const late = expectCode(store.nodes.recordRoutes('first'), 'CLOSED')
    expect(tally(await outcomes([...counted, inTransaction]))).toEqual({ done: 3_001 })
    await late
    await closed

    const rows = sqliteProgram(path)
    expect(await rows.row('nodes', 'first')).toMatchObject({ routes_discovered: 3_000 })
    expect(await rows.row('nodes', 'in-transaction')).toBeDefined()
  })

  test('leaves no write of which nobody knows what became of it', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const store = await opened(path)
    const nodes = manyNodes(100)
    const creating = outcomes(nodes.map((each) => store.nodes.create(each)))
    const creatingMany = outcomes([store.nodes.createMany(manyNodes(2_000, 'many'))])
    await Promise.all([store.close(), store.close()])
    const codes = await creating
    const [ofMany] = await creatingMany

    const there = new Set((await sqliteProgram(path).rows('nodes')).map(({ node_id }) => node_id))
    expect(nodes.map(({ nodeId }) => (there.has(nodeId) ? 'done' : 'CLOSED'))).toEqual(codes)
    const ofManyThere = [...there].filter((id) => String(id).startsWith('many-'))
    expect(ofManyThere).toHaveLength(ofMany === 'done' ? 2_000 : 0)
  })
})

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

function disposable(raw: Sqlite.Database): Disposable & { raw: Sqlite.Database } {
  return { raw, [Symbol.dispose]: () => void raw.close() }
}
