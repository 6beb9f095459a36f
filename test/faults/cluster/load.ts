/**
 * A program that writes at a steady rate through one store, with single calls, batches, `createMany`, transactions, counters and own
 * tables; and reads cached paths through two. A subscriber listens on each. Ordered by the messages of load-process.ts.
 */
import { eventually } from '../../postgres/support/eventually.ts'
import { Hubs } from './hubs.ts'
import { Listener } from './listener.ts'
import type { FromLoad, LoadOrders, LoadReport, ToLoad } from './load-messages.ts'
import { Truth } from './truth.ts'

const orders: LoadOrders = JSON.parse(process.argv[2] ?? '')
// Another tree of the source, if there is one: an earlier version, or one with a mistake.
const { openStorage }: typeof import('../../../src/index.ts') = await import(`${orders.root}/src/index.ts`)
const { app, migrations }: typeof import('../../tables/app/schema.ts') = await import(
  `${orders.root}/test/tables/app/schema.ts`
)

const COUNTERS = 10
const MOST_PENDING = 1_000
const { run } = orders
const say = (message: FromLoad): void => void process.send?.(message)

const settings = { url: orders.url, tables: app, migrations, pathCache: { sweepSeconds: 1, ttlSeconds: 600 } }
const store = await openStorage({ ...settings, ...orders.options })
const other = await openStorage({ ...settings, ...orders.options })
const truth = new Truth()
const hubs = new Hubs([store, other], truth, run)

const counterOf = (turn: number): string => `${run}-c-${Math.floor(turn / 10) % COUNTERS}`
const plain = (nodeId: string) => ({ nodeId, interfaces: ['eth0'], protocols: [] })
const site = (siteId: string) => ({ siteId, name: siteId })
// A machine that is short of time runs a transaction for longer.
const PATIENT = { timeoutMs: 300_000 }

const writes: readonly ((turn: number) => Promise<unknown>)[] = [
  ...Array.from({ length: 4 }, () => (turn: number) => create(turn)),
  // One row at a time, and all that wait are carried out together.
  (turn) => truth.write('recordRoutes', [], counterOf(turn), () => store.nodes.recordRoutes(counterOf(turn), 1)),
  (turn) => {
    const keys = [0, 1, 2].map((each) => `${run}-m-${turn}-${each}`)
    return truth.write('createMany', keys, undefined, () => store.nodes.createMany(keys.map(plain)))
  },
  (turn) => {
    const key = `${run}-t-${turn}`
    return truth.write('transaction', [key], counterOf(turn), () =>
      store.transaction(async (tx) => {
        await tx.nodes.create(plain(key))
        await tx.nodes.recordRoutes(counterOf(turn), 1)
      }, PATIENT),
    )
  },
  (turn) =>
    truth.write('own table', [`${run}-s-${turn}`], undefined, () =>
      store.tables.sites.create(site(`${run}-s-${turn}`)),
    ),
  (turn) => {
    const keys = [`${run}-x-${turn}`, `${run}-y-${turn}`]
    return truth.write('transaction with an own table', keys, counterOf(turn), () =>
      store.transaction(async (tx) => {
        await tx.tables.sites.create(site(keys[0] ?? ''))
        await tx.nodes.create(plain(keys[1] ?? ''))
        await tx.nodes.recordRoutes(counterOf(turn), 1)
      }, PATIENT),
    )
  },
]
const create = (turn: number) =>
  truth.write('create', [`${run}-n-${turn}`], undefined, () => store.nodes.create(plain(`${run}-n-${turn}`)))

const pending = new Set<Promise<unknown>>()
let stopping = false
const start = (work: Promise<unknown>): void => {
  pending.add(work)
  void work.finally(() => pending.delete(work))
}

async function load(): Promise<void> {
  const begun = performance.now()
  for (let turn = 0; !stopping; ) {
    const due = ((performance.now() - begun) / 1_000) * orders.rate
    for (; turn < due; turn++) {
      if (pending.size >= MOST_PENDING) continue
      if (turn % 10 === 9) start(hubs.read((turn / 10) | 0))
      else start(writes[turn % 10]?.(turn) ?? Promise.resolve())
      if (turn % 40 === 0) start(hubs.change())
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** All of it, from the primary as it is now. */
async function everything(now: typeof store): Promise<{ there: Set<string>; counters: Map<string, number> }> {
  const there = new Set<string>()
  const counters = new Map<string, number>()
  for await (const { nodeId, routesDiscovered } of now.nodes.iterate()) {
    if (nodeId.startsWith(`${run}-c-`)) counters.set(nodeId, routesDiscovered)
    else if (!nodeId.startsWith(`${run}-hub-`)) there.add(nodeId)
  }
  for await (const { siteId } of now.tables.sites.iterate()) there.add(siteId)
  return { there, counters }
}

async function finish(listeners: readonly Listener[]): Promise<LoadReport> {
  stopping = true
  const all = Promise.all([...pending])
  await Promise.race([all, new Promise((resolve) => setTimeout(resolve, orders.longestMs))])
  const stuck = pending.size
  // A subscriber that receives the last row has received all before it.
  const last = `${run}-last`
  await eventually(
    'a last row is written',
    async () => (await truth.write('save', [last], undefined, () => store.nodes.save(plain(last)))) === 'done',
    orders.longestMs,
  )
  const deaf = await eventually(
    'all have heard of it',
    () => listeners.every((each) => each.has(last)),
    orders.longestMs,
  ).then(
    () => 0,
    () => listeners.filter((each) => !each.has(last)).length,
  )
  const now = await openStorage({ ...orders.options, url: orders.checkUrl, migrate: 'skip', tables: app })
  await hubs.compare(now)
  const { there, counters } = await everything(now)
  await now.close()
  return {
    ...truth.figures,
    ...truth.judge(there, counters),
    rate: (1_000 * (atFault.written - warm.written)) / (atFault.at - warm.at),
    stuck,
    deaf,
    stale: hubs.stale,
    hits: hubs.hits,
    computed: hubs.computed,
    listeners: listeners.map((each) => each.judge(there, (key) => truth.rows.get(key)?.begun)),
  }
}

await hubs.create()
await store.nodes.createMany(Array.from({ length: COUNTERS }, (_, index) => plain(`${run}-c-${index}`)))
const listeners = [await Listener.start(store), await Listener.start(other)]
const here = () => ({ at: performance.now(), written: truth.written })
let [warm, atFault] = [here(), here()]
process.on('message', async (message: ToLoad) => {
  if (message === 'warm') warm = here()
  if (message === 'fault') {
    hubs.resting = true
    atFault = here()
  }
  if (message === 'lossy') hubs.lossy = true
  if (message !== 'stop') return
  clearInterval(progress)
  say({ report: await finish(listeners) })
  // Its connections may lead to a server that stands still.
  process.exit(0)
})
process.on('disconnect', () => process.exit(2))
const progress = setInterval(() => say({ written: truth.written }), 50)
say({ written: 0 })
await load()
