/** The path cache as a cache: beside Redis, with the cache full, and while a million rows are swept. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Meshstore } from '../../src/index.ts'
import { compare, eachAwaited, timesByTurns } from '../compare.ts'
import type { Benchmark, Context } from '../context.ts'
import { newFile } from '../context.ts'
import { bundleOf, fill, keyOf, NODES, nodeId, nodeOf, POLICY_ID, policyText, TTL_SECONDS } from '../data.ts'
import { openStorage } from '../library.ts'
import { RawStore } from '../raw-store.ts'
import { NoRedis, Redis } from '../redis.ts'
import { atLeast, atMost, type Result, scaled } from '../result.ts'
import { summaryOf } from '../statistics.ts'

/** The store's default. */
const FULL = 10_000
const ONE_MS = 1

export const cache: Benchmark = {
  name: 'cache',
  run: async (context) => [await besideRedis(context), ...(await withFullCache(context)), ...(await sweeping(context))],
}

/** A hit of ours, and a GET of Redis and JSON.parse of the same value. */
async function besideRedis(context: Context): Promise<Result> {
  const name = 'cache hit, beside Redis GET on loopback'
  let redis: Redis
  try {
    redis = await Redis.start(context.folder)
  } catch (error) {
    if (!(error instanceof NoRedis)) throw error
    return { name, unit: 'µs', ours: summaryOf([]), targets: [], notes: [`NOT MEASURED: ${error.message}`] }
  }
  try {
    await using store = await openStorage(newFile(context, 'redis'))
    const keys = Array.from({ length: 1_000 }, (_, n) => keyOf(n))
    for (const [n, key] of keys.entries()) {
      await store.pathCache.set(key, bundleOf(n), { ttlSeconds: TTL_SECONDS })
      await redis.set(`${n}`, JSON.stringify(bundleOf(n)), TTL_SECONDS)
    }
    const calls = 1_000
    const measured = await compare(
      {
        ours: () => eachAwaited(calls, (n) => store.pathCache.get(keys[n % keys.length] ?? keyOf(0))),
        raw: () => eachAwaited(calls, async (n) => JSON.parse(await redis.get(`${n % keys.length}`))),
      },
      context.quick ? 10 : 40,
    )
    const faster = 1 / measured.ratio.p50
    return {
      name,
      unit: 'µs',
      ours: scaled(measured.ours, 1_000),
      raw: scaled(measured.raw, 1_000),
      ratio: measured.ratio,
      targets: [atLeast(8, faster, '×', '8 × faster than Redis')],
      notes: ['Beside it is Redis, with the barest client; its value is parsed, as ours is.'],
    }
  } finally {
    await redis.stop()
  }
}

type Call = (store: Meshstore, n: number) => Promise<unknown>

/** Every n is another row, or another value of it. */
const CRUD: readonly (readonly [name: string, call: Call])[] = [
  ['insert node', ({ nodes }, n) => nodes.create(nodeOf(NODES + n))],
  ['read node', ({ nodes }, n) => nodes.get(nodeId(n % NODES))],
  ['update node', ({ nodes }, n) => nodes.update(nodeId((2 * n) % NODES), { started: n % 2 === 1 })],
  ['save node', ({ nodes }, n) => nodes.save({ ...nodeOf(n % NODES), protocols: [`p${n}`] })],
  ['record routes', ({ nodes }, n) => nodes.recordRoutes(nodeId(n % NODES))],
  ['delete node', ({ nodes }, n) => nodes.delete(nodeId(NODES + n))],
  ['insert policy', ({ policies }, n) => policies.create({ policyId: `p-${n}`, yamlContent: policyText(n) })],
  ['update policy', ({ policies }, n) => policies.update(POLICY_ID, { yamlContent: policyText(n + 1) })],
  ['delete policy', ({ policies }, n) => policies.delete(`p-${n}`)],
  ['set path', ({ pathCache }, n) => pathCache.set(keyOf(n), bundleOf(n), { ttlSeconds: TTL_SECONDS + n })],
  ['get path', ({ pathCache }, n) => pathCache.get(keyOf(n))],
  ['delete path', ({ pathCache }, n) => pathCache.delete(keyOf(n))],
]

async function full(context: Context, invalidation: 'topology' | 'manual'): Promise<Meshstore> {
  const store = await openStorage({ url: newFile(context, invalidation), pathCache: { invalidation } })
  await fill(store)
  const entries = Array.from({ length: FULL }, (_, n) => ({
    key: keyOf(n),
    bundle: bundleOf(n),
    ttlSeconds: TTL_SECONDS,
  }))
  await store.pathCache.setMany(entries)
  await store.pathCache.sweep()
  return store
}

/** Each call on a store whose cache is full, with invalidation and without. The sweep goes on meanwhile. */
async function withFullCache(context: Context): Promise<Result[]> {
  await using topology = await full(context, 'topology')
  await using manual = await full(context, 'manual')
  const count = context.quick ? 200 : 1_000
  const results: Result[] = []
  for (const [name, call] of CRUD) {
    const { ours, raw } = await timesByTurns({ ours: (n) => call(topology, n), raw: (n) => call(manual, n) }, 0, count)
    const [with_, without] = [summaryOf(ours), summaryOf(raw)]
    results.push({
      name: `cache full: ${name}, p50`,
      unit: 'ms',
      ours: with_,
      raw: without,
      ratio: summaryOf([with_.p50 / without.p50]),
      targets: [atMost(ONE_MS, with_.p50, 'ms', '1 ms')],
      notes: results.length === 0 ? ["Beside 'topology' is 'manual', which invalidates nothing by itself."] : undefined,
    })
  }
  return results
}

/** Rows that have expired are swept while others read. */
async function sweeping(context: Context): Promise<Result[]> {
  const rows = context.quick ? 100_000 : 1_000_000
  const path = newFile(context, 'sweep')
  await (await openStorage(path)).close()
  const raw = new RawStore(path, 'normal')
  raw.raw.exec(`WITH RECURSIVE each (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM each WHERE n < ${rows - 1})
    INSERT INTO path_cache SELECT 'a:' || n || ':3', 'a', n, 3, '{"primary": [{"nodes": ["a"]}]}', 1.5, 2.5 + n / 1000.0 FROM each`)
  raw.raw.pragma('wal_checkpoint(TRUNCATE)')
  raw.close()
  await using store = await openStorage({ url: path, pathCache: { sweepSeconds: 86_400 } })
  await store.nodes.create(nodeOf(0))
  const delays = monitorEventLoopDelay({ resolution: 1 })
  const reads: number[] = []
  let done = false
  delays.enable()
  const begun = performance.now()
  const reading = (async () => {
    while (!done) {
      const asked = performance.now()
      await store.nodes.get(nodeId(0))
      reads.push(performance.now() - asked)
      await new Promise((next) => setTimeout(next, 1))
    }
  })()
  const { expired } = await store.pathCache.sweep()
  const seconds = (performance.now() - begun) / 1_000
  done = true
  delays.disable()
  await reading
  const longest = delays.max / 1e6
  const count = `${rows.toLocaleString('en')} expired rows swept`
  if (expired !== rows) throw new Error(`${expired} of ${rows} rows were swept.`)
  return [
    { name: `${count}`, unit: '/s', ours: summaryOf([rows / seconds]), targets: [] },
    { name: `${count}: longest pause of the event loop`, unit: 'ms', ours: summaryOf([longest]), targets: [] },
    { name: `${count}: a read meanwhile`, unit: 'ms', ours: summaryOf(reads), targets: [] },
  ]
}
