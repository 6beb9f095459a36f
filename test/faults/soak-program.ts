/** Writes at a rate until so many writes are acknowledged, and says each second what it takes up. */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pruneBackups } from '../../src/backup/folder.ts'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { messages, say } from '../sqlite/support/messages.ts'

export interface Orders {
  readonly path: string
  readonly backups: string
  readonly writes: number
  /** A second. */
  readonly rate: number
  /** Whether to keep what it should let go: what the test must find. */
  readonly leaks: boolean
}

export interface Sample {
  /** The bytes in use, without those that wait to be collected. */
  readonly heapBytes: number
  readonly rssBytes: number
  readonly handles: number
  readonly walBytes: number
  readonly fileBytes: number
}

export interface Saw {
  readonly writes: number
  readonly acknowledged: readonly (readonly [id: string, version: number])[]
  readonly backups: number
  readonly swept: number
  readonly reads: number
  readonly problems: readonly string[]
}

/** Rows that are there all the time: they are deleted and made anew. */
export const NODES = 500
const TICK_MS = 10
const READERS = 3
const BACKUP_EVERY_MS = 3_000
const KEPT_BACKUPS = 3

const id = (index: number): string => `n-${index}`

/** One of each kind in turn. Returns the version of the node that it leaves behind. */
async function write({ nodes, policies, pathCache }: Meshstore, number: number): Promise<void> {
  const [nodeId, version] = [id(number % NODES), Math.floor(number / NODES)]
  await nodes.update(nodeId, { routesDiscovered: version, interfaces: [`eth${number % 7}`] })
  if (number % 10 === 0) await policies.save({ policyId: id(number % 50), yamlContent: `rules: [a, ${number}]\n` })
  if (number % 5 === 0) {
    const key = { source: nodeId, destination: `d-${number % 1_000}`, k: 1 }
    await pathCache.set(key, { source: key.source, destination: key.destination, primary: [] }, { ttlSeconds: 0.5 })
  }
}

const handles = (): number =>
  existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : process.getActiveResourcesInfo().length

async function run({ path, backups, writes, rate, leaks }: Orders): Promise<void> {
  mkdirSync(backups, { recursive: true })
  const store = await openStorage({ url: path, pathCache: { sweepSeconds: 1, invalidation: 'manual' } })
  await store.nodes.createMany(
    Array.from({ length: NODES }, (_, index) => ({ nodeId: id(index), interfaces: [], protocols: [] })),
  )
  const versions = new Map<string, number>()
  const problems: string[] = []
  const leaked: unknown[] = []
  let [begun, done, made, swept, reads, running] = [0, 0, 0, 0, 0, true]
  const guard = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      problems.push(String(error))
    }
  }
  const loop = async (everyMs: number, work: () => Promise<void>): Promise<void> => {
    while (running) {
      await guard(work)
      await wait(everyMs)
    }
  }
  const beside = [
    ...Array.from({ length: READERS }, () =>
      loop(20, async () => {
        await store.nodes.list({ limit: 50 })
        for await (const { nodeId } of store.nodes.iterate()) if (nodeId.endsWith('99')) break
        await store.transaction((tx) => tx.nodes.count(), { readOnly: true })
        reads++
      }),
    ),
    loop(500, async () => {
      const { expired, invalidated } = await store.pathCache.sweep()
      swept += expired + invalidated
    }),
    loop(BACKUP_EVERY_MS, async () => {
      await store.backup(join(backups, `${made++}.backup`))
      await pruneBackups(backups, { last: KEPT_BACKUPS })
    }),
    loop(1_000, async () => {
      globalThis.gc?.()
      const { heapUsed, rss } = process.memoryUsage()
      const { walBytes, bytes } = await store.stats()
      say({ sample: { heapBytes: heapUsed, rssBytes: rss, handles: handles(), walBytes, fileBytes: bytes } })
      if (!leaks) return
      leaked.push(Array.from({ length: 300_000 }, (_, index) => ({ index })))
      for (let handle = 0; handle < 20; handle++) leaked.push(openSync(process.execPath, 'r'))
      const size = 1_000
      await store.nodes.createMany(
        Array.from({ length: size }, (_, index) => ({
          nodeId: `leaked-${leaked.length}-${index}`,
          interfaces: ['x'.repeat(200), 'y'.repeat(200)],
          protocols: [],
        })),
      )
    }),
  ]
  const start = performance.now()
  while (done < writes) {
    const due = Math.min(writes, Math.ceil(((performance.now() - start) / 1_000) * rate))
    while (begun < due) {
      const number = begun++
      void guard(async () => {
        await write(store, number)
        const version = Math.floor(number / NODES)
        versions.set(id(number % NODES), Math.max(version, versions.get(id(number % NODES)) ?? 0))
      }).then(() => done++)
    }
    await wait(TICK_MS)
  }
  running = false
  await Promise.all(beside)
  for (const each of leaked) if (typeof each === 'number') closeSync(each)
  say({ end: { writes: done, acknowledged: [...versions], backups: made, swept, reads, problems } satisfies Saw })
}

if (process.argv[1]?.endsWith('script.mjs')) for await (const orders of messages<Orders>()) await run(orders)
