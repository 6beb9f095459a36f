/** Writes that wait together are committed together, on a real file. */
import { tracingChannel } from 'node:diagnostics_channel'
import Sqlite from 'better-sqlite3'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WriteQueue } from '../../src/database/sqlite/write-queue.ts'
import { performance } from '../../src/event-loop.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { sqliteProgram } from '../support/other-program.ts'
import { manyNodes, node } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { opened } from './support/opened.ts'
import { outcomes, tally } from './support/settled.ts'

const COMMIT = tracingChannel('meshstore:commit')

/** The bound in milliseconds ends no batch while time stands still. */
function timeStandsStill(): { advance: (milliseconds: number) => void } {
  let now = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  return {
    advance: (milliseconds) => {
      now += milliseconds
    },
  }
}
afterEach(() => {
  vi.restoreAllMocks()
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
    const queue = new WriteQueue(file.raw, {
      busyTimeoutMs: 1_000,
      maxPendingWrites: 1_000,
      refusal: () => undefined,
      unacknowledged: () => undefined,
      onIdle: () => {},
    })
    const time = timeStandsStill()
    using commits = record('commit', 'end')
    // Each takes 4 ms of a batch's 10.
    const writes = Array.from({ length: 12 }, () => queue.write(() => time.advance(4)))
    await Promise.all(writes)
    expect(commits.events.length).toBeGreaterThan(1)
    expect(commits.events.reduce((sum, { batch }) => sum + batch, 0)).toBe(writes.length)
  })

  test('begins with a write of the library itself, which is not refused when too many wait', async () => {
    using folder = temporaryFolder()
    using file = disposable(new Sqlite(folder.file('plain.db')))
    const queue = new WriteQueue(file.raw, {
      busyTimeoutMs: 1_000,
      maxPendingWrites: 3,
      refusal: () => undefined,
      unacknowledged: () => undefined,
      onIdle: () => {},
    })
    const order: string[] = []
    const write = (name: string, options = {}): Promise<unknown> => queue.write(() => order.push(name), options)
    const writes = ['a', 'b', 'c', 'too many'].map((name) => write(name))
    writes.push(write('ahead', { ahead: true }))
    expect(await outcomes(writes)).toEqual(['done', 'done', 'done', 'BUSY', 'done'])
    expect(order).toEqual(['ahead', 'a', 'b', 'c'])
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
  for (const count of [2, 600]) await expectCode(store.nodes.createMany(manyNodes(count, 'late')), 'BUSY')
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

function disposable(raw: Sqlite.Database): Disposable & { raw: Sqlite.Database } {
  return { raw, [Symbol.dispose]: () => void raw.close() }
}
