/** Several processes on one file. */
import Sqlite from 'better-sqlite3'
import { describe, expect, test, vi } from 'vitest'
import { type MeshNode, openStorage } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'
import type { Order, Outcomes } from './programs/peer.ts'
import type { Program } from './support/program.ts'
import { Script } from './support/script.ts'
import { Turns } from './support/turns.ts'

const peer = await Script.bundle(new URL('programs/peer.ts', import.meta.url))

/** Other processes, all of them stopped at the end of the test. */
class Peers implements AsyncDisposable {
  readonly all: readonly Program[]

  constructor(count: number) {
    this.all = Array.from({ length: count }, () => peer.start())
  }

  /** Tells each something, at once, and waits for all answers. */
  tell<T>(order: (index: number) => Order): Promise<T[]> {
    return Promise.all(this.all.map((program, index) => program.ask<T>(order(index))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((program) => program.kill()))
  }
}

describe('writing at once', () => {
  test.each([
    { processes: 2, count: 3_000 },
    { processes: 4, count: 2_000 },
  ])(
    '$processes processes with $count nodes each lose nothing, and none is refused',
    {
      timeout: 120_000,
    },
    async ({ processes, count }) => {
      using folder = temporaryFolder()
      const path = folder.file('mesh.db')
      await using store = await openStorage(path)
      await store.nodes.createMany([node('shared'), node('pages')])
      await using peers = new Peers(processes)
      await peers.tell(() => ({ do: 'open', options: { url: path } }))

      const outcomes = await peers.tell<Outcomes>((index) => ({ do: 'write', prefix: `p${index}`, count }))
      const transactions = count / 20
      expect(outcomes).toEqual(Array(processes).fill({ done: 2 * count + transactions }))
      await peers.tell(() => ({ do: 'close' }))

      expect(await store.nodes.count()).toBe(processes * count + 2)
      for (let index = 0; index < processes; index++) {
        expect(await store.nodes.count({ interface: `p${index}` })).toBe(count)
      }
      expect(await store.nodes.get('shared')).toMatchObject({ routesDiscovered: processes * count })
      expect(await store.nodes.get('pages')).toMatchObject({ routesDiscovered: processes * transactions })
      const raw = new Sqlite(path, { readonly: true })
      expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
      raw.close()
    },
  )
})

test('eight processes may open a new file at the same moment, each round a new one', async () => {
  using folder = temporaryFolder()
  await using peers = new Peers(8)
  const rounds = 25
  for (let round = 0; round < rounds; round++) {
    const path = folder.file(`${round}.db`)
    const visits = await peers.tell<string>((index) => ({ do: 'visit', path, nodeId: `n${index}` }))
    expect(visits, `round ${round}`).toEqual(Array(8).fill('done'))
    await using store = await openStorage({ url: path, migrate: 'check' })
    expect(await store.nodes.count()).toBe(8)
  }
})

describe('while another process holds the lock', () => {
  test('a write waits for it without blocking the event loop, and readers go on', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await store.nodes.create(node('first'))
    await using peers = new Peers(1)
    const [other] = peers.all
    await other?.ask({ do: 'lock', path } satisfies Order)

    using turns = new Turns()
    let settled = 0
    const writes = [
      store.nodes.create(node('a')),
      store.nodes.createMany(manyNodes(600)),
      store.transaction((tx) => tx.nodes.create(node('b'))),
      store.nodes.recordRoutes('first'),
    ].map((writing) => writing.finally(() => settled++))
    for (let reads = 0; reads < 100 || turns.count < 200; reads++) {
      expect(await store.nodes.count()).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(settled).toBe(0)
    await other?.ask({ do: 'unlock' } satisfies Order)
    await Promise.all(writes)
    expect(await store.nodes.count()).toBe(603)
  })

  test('for longer than busyTimeoutMs, a write is refused with BUSY, which is retryable; later it works', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage({ url: path, busyTimeoutMs: 200 })
    await store.nodes.create(node('first'))
    await using peers = new Peers(1)
    const [other] = peers.all
    await other?.ask({ do: 'lock', path } satisfies Order)

    const kinds = {
      create: () => store.nodes.create(node('a')),
      createMany: () => store.nodes.createMany(manyNodes(600)),
      transaction: () => store.transaction((tx) => tx.nodes.create(node('b'))),
    }
    for (const [kind, write] of Object.entries(kinds)) {
      using turns = new Turns()
      const begun = performance.now()
      const { retryable } = await expectCode(write(), 'BUSY')
      expect(retryable, kind).toBe(true)
      expect(performance.now() - begun, kind).toBeGreaterThanOrEqual(200)
      // A driver that waits by itself lets it turn once or twice.
      expect(turns.count, kind).toBeGreaterThan(5)
    }
    const health = await store.health()
    expect(health).toMatchObject({ canRead: true, canWrite: false, problems: [{ code: 'BUSY' }] })

    await other?.ask({ do: 'unlock' } satisfies Order)
    for (const write of Object.values(kinds)) await write()
    expect(await store.nodes.count()).toBe(603)
    expect(await store.health()).toMatchObject({ canRead: true, canWrite: true, problems: [] })
  })

  test('for longer than busyTimeoutMs, a write is refused with BUSY though timers be faked', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage({ url: path, busyTimeoutMs: 50 })
    await using peers = new Peers(1)
    const [other] = peers.all
    await other?.ask({ do: 'lock', path } satisfies Order)
    vi.useFakeTimers()
    try {
      await expectCode(store.nodes.create(node('a')), 'BUSY')
      await expectCode(
        store.transaction((tx) => tx.nodes.create(node('b'))),
        'BUSY',
      )
    } finally {
      vi.useRealTimers()
    }
    await other?.ask({ do: 'unlock' } satisfies Order)
    await store.nodes.create(node('a'))
  })

  test('for longer than busyTimeoutMs, all who wait are refused together, not one after the other', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage({ url: path, busyTimeoutMs: 2_000 })
    await using peers = new Peers(1)
    const [other] = peers.all
    await other?.ask({ do: 'lock', path } satisfies Order)
    let firstAt: number | undefined
    const waiting = Array.from({ length: 20 }, (_, index) => [
      store.transaction((tx) => tx.nodes.create(node(`t-${index}`))),
      store.nodes.create(node(`n-${index}`)),
    ]).flat()
    const begun = performance.now()
    const refused = waiting.map(async (each) => {
      await expectCode(each, 'BUSY')
      firstAt ??= performance.now()
    })
    await Promise.all(refused)
    // Each after a time of its own, the other 39 would take 39 times as long as the first, however busy the machine is.
    expect(performance.now() - begun).toBeLessThan(10 * ((firstAt ?? begun) - begun))
    await other?.ask({ do: 'unlock' } satisfies Order)
    await store.transaction((tx) => tx.nodes.create(node('later')))
  })

  test('opening a new file waits for it', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using peers = new Peers(1)
    const [other] = peers.all
    await other?.ask({ do: 'lock', path } satisfies Order)
    using turns = new Turns()
    let settled = false
    const opening = openStorage(path).finally(() => {
      settled = true
    })
    while (turns.count < 200) await new Promise((resolve) => setImmediate(resolve))
    expect(settled).toBe(false)
    await other?.ask({ do: 'unlock' } satisfies Order)
    await using store = await opening
    expect(await store.nodes.count()).toBe(0)
  })

  test('a new file cannot be opened, and later it can', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using peers = new Peers(1)
    const [other] = peers.all
    await other?.ask({ do: 'lock', path } satisfies Order)
    await expectCode(openStorage({ url: path, busyTimeoutMs: 100 }), 'BUSY')
    await other?.ask({ do: 'unlock' } satisfies Order)
    await using store = await openStorage({ url: path, busyTimeoutMs: 100 })
    expect(await store.nodes.count()).toBe(0)
  })
})

describe('a reader', () => {
  test('sees nothing of a transaction that is open, in its own process or in another one', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await store.nodes.create(node('first'))
    await using peers = new Peers(1)
    const [other] = peers.all
    await other?.ask({ do: 'open', options: { url: path } } satisfies Order)
    const elsewhere = (nodeId: string): Promise<MeshNode | null> | undefined =>
      other?.ask<MeshNode | null>({ do: 'get', nodeId } satisfies Order)

    const written = Promise.withResolvers<void>()
    const looked = Promise.withResolvers<void>()
    const transaction = store.transaction(
      async (tx) => {
        await tx.nodes.create(node('new'))
        await tx.nodes.update('first', { started: true })
        await tx.nodes.createMany(manyNodes(1_000))
        expect(await tx.nodes.get('new')).toBeDefined()
        expect(await tx.nodes.count()).toBe(1_002)
        written.resolve()
        await looked.promise
      },
      { timeoutMs: 60_000 },
    )
    await Promise.race([written.promise, transaction])

    expect(await store.nodes.get('new')).toBeUndefined()
    expect(await store.nodes.get('first')).toMatchObject({ started: false })
    expect(await store.nodes.count()).toBe(1)
    expect(await elsewhere('new')).toBeNull()
    expect(await elsewhere('first')).toMatchObject({ started: false })
    const snapshot = await store.transaction((tx) => tx.nodes.count(), { readOnly: true })
    expect(snapshot).toBe(1)

    looked.resolve()
    await transaction
    expect(await store.nodes.get('new')).toBeDefined()
    expect(await store.nodes.get('first')).toMatchObject({ started: true })
    expect(await elsewhere('new')).toMatchObject({ nodeId: 'new' })
    expect(await elsewhere('first')).toMatchObject({ started: true })
  })

  test('that begins after a write was acknowledged sees it, in its own process and in another one', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await store.nodes.create(node('counted'))
    await using peers = new Peers(1)
    const [other] = peers.all
    await other?.ask({ do: 'open', options: { url: path } } satisfies Order)
    for (let written = 1; written <= 200; written++) {
      if (written % 10 === 0) await store.transaction((tx) => tx.nodes.recordRoutes('counted'))
      else await store.nodes.recordRoutes('counted')
      expect(await store.nodes.get('counted')).toMatchObject({ routesDiscovered: written })
      const elsewhere = await other?.ask<MeshNode>({ do: 'get', nodeId: 'counted' } satisfies Order)
      expect(elsewhere?.routesDiscovered).toBe(written)
    }
  })
})
