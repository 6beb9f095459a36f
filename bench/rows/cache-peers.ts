import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { TTL_SECONDS } from '../cache-data.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { BUNDLES, bundleOf, keyOf } from '../data.ts'
import { openStorage } from '../library.ts'
import type { Operation } from '../operations.ts'
import { type CachePeer, type CachePeerModule, type Contestant, contestant } from '../peer.ts'
import type { Durability } from '../raw-store.ts'
import { redisVersion, startServer } from '../redis.ts'
import { closeAll, enterAll, isIn, operationsTable } from './peers.ts'

const OPERATIONS: readonly Operation[] = [
  { name: 'hit', method: 'get', args: (n) => [keyOf((n * 7_919) % BUNDLES)], writes: false, rows: 1 },
  { name: 'store', method: 'set', args: (n) => [keyOf(n % BUNDLES), bundleOf(n)], writes: true, rows: 1 },
]

interface Entry {
  readonly name: string
  readonly open: (context: Context) => Promise<CachePeer>
}

async function meshstore(context: Context, durability: Durability): Promise<CachePeer> {
  const store = await openStorage({ url: newFile(context, 'cache'), durability })
  const { pathCache } = store
  return {
    get: (key) => pathCache.get(key),
    set: (key, bundle) => pathCache.set(key, bundle, { ttlSeconds: TTL_SECONDS }),
    close: () => store.close(),
  }
}

async function peer(file: string, where: string): Promise<CachePeer> {
  const { open }: CachePeerModule = await import(new URL(`../peers/cache/${file}`, import.meta.url).href)
  return open(where)
}

async function redis({ folder }: Context, settings: readonly string[]): Promise<CachePeer> {
  const server = await startServer(mkdtempSync(join(folder, 'redis-')), settings)
  try {
    const client = await peer('redis.ts', String(server.port))
    return {
      get: (key) => client.get(key),
      set: (key, bundle) => client.set(key, bundle),
      close: async () => {
        await client.close()
        await server.stop()
      },
    }
  } catch (error) {
    await server.stop()
    throw error
  }
}

const ENTRIES: readonly Entry[] = [
  { name: 'meshstore', open: (context) => meshstore(context, 'full') },
  { name: 'meshstore, not durable', open: (context) => meshstore(context, 'normal') },
  { name: 'Redis', open: (context) => redis(context, []) },
  {
    name: 'Redis, fsync always',
    open: (context) => redis(context, ['--appendonly', 'yes', '--appendfsync', 'always']),
  },
  { name: 'Keyv on SQLite', open: (context) => peer('keyv.ts', newFile(context, 'keyv')) },
  { name: 'lru-cache', open: () => peer('lru.ts', '') },
]

/** Bundles of 1 KB, out of 5,000. All but the LRU parse what they return. */
export const cachePeers: Benchmark = {
  name: 'cache-peers',
  run: async (context) => {
    const entered = await enterAll(ENTRIES, async ({ name, open }) => contestant(name, await open(context)))
    try {
      for (const each of entered) if (isIn(each)) await fill(each)
      const alone = 'Cache: 1 KB bundles, one at a time'
      const notes = [
        ...redisVersion(),
        'Durable are meshstore, Redis with fsync always, and Keyv. lru-cache keeps the objects, in one process.',
      ]
      return [
        await operationsTable(context, alone, entered, OPERATIONS, false, notes),
        await operationsTable(context, 'Cache: 1 KB bundles, 1,000 in flight', entered, OPERATIONS, true, notes),
      ]
    } finally {
      await closeAll(entered)
    }
  },
}

async function fill(each: Contestant): Promise<void> {
  await each.time(
    'set',
    Array.from({ length: BUNDLES }, (_, n) => [keyOf(n), bundleOf(n)]),
    true,
  )
  const found = await each.answer('get', [keyOf(7)])
  if (JSON.stringify(found) !== JSON.stringify(bundleOf(7)))
    throw new Error(`${each.name} does not return what was stored.`)
}
