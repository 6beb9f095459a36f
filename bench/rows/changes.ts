import type { Meshstore } from '../../src/index.ts'
import { compareByTurns } from '../compare.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { NODES, nodeId, nodeOf } from '../data.ts'
import { openDriver } from '../driver.ts'
import { openStorage } from '../library.ts'
import { execute, NoServer, withDatabase, withServer } from '../postgres-server.ts'
import { atLeast, atMost, perSecond, type Result } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const CALLS = 100
const BATCH = 1_000
const TABLES = ['nodes', 'policies', 'path_cache']
const TRIGGERS = TABLES.flatMap((table) =>
  ['insert', 'update', 'delete'].map((what) => ({ table, trigger: `${table}_log_${what}` })),
)

interface Place {
  readonly dialect: string
  /** A fresh database; `run` executes SQL past the library. */
  readonly make: () => { readonly url: string; readonly run: (sql: string) => Promise<void> }
  readonly dropTrigger: (each: (typeof TRIGGERS)[number]) => string
}

/** The cost of the change log for writers, and the delay until subscribers receive a change. */
export const changes: Benchmark = {
  name: 'changes',
  run: async (context) => {
    const files = await rows(context, sqlite(context))
    try {
      const served = await withServer((server) =>
        withDatabase(server, (one) => withDatabase(server, (other) => rows(context, postgres([one, other])))),
      )
      return [...files, ...served]
    } catch (error) {
      if (!(error instanceof NoServer)) throw error
      const notes = [`NOT MEASURED: ${error.message}`]
      return [...files, { name: 'PostgreSQL: changes', unit: '', ours: summaryOf([]), targets: [], notes }]
    }
  },
}

const sqlite = (context: Context): Place => ({
  dialect: 'SQLite',
  make: () => {
    const file = newFile(context, 'changes')
    const run = async (sql: string): Promise<void> => {
      const raw = openDriver(file, 'full')
      raw.exec(sql)
      raw.close()
    }
    return { url: file, run }
  },
  dropTrigger: ({ trigger }) => `DROP TRIGGER ${trigger}`,
})

const postgres = (urls: string[]): Place => ({
  dialect: 'PostgreSQL',
  make: () => {
    const url = urls.pop()
    if (url === undefined) throw new Error('There is no database left.')
    return { url, run: (sql) => execute(url, sql) }
  },
  dropTrigger: ({ table, trigger }) => `DROP TRIGGER ${trigger} ON ${table}`,
})

async function rows({ quick }: Context, { dialect, make, dropTrigger }: Place): Promise<Result[]> {
  const [withLog, without] = [make(), make()]
  await using store = await openStorage({ url: withLog.url, pathCache: { invalidation: 'manual' } })
  await using bare = await openStorage({ url: without.url, pathCache: { invalidation: 'manual' } })
  for (const each of TRIGGERS) await without.run(dropTrigger(each))
  for (const each of [store, bare]) await each.nodes.createMany(Array.from({ length: NODES }, (_, n) => nodeOf(n)))

  const rounds = quick ? 10 : 40
  const write = (on: Meshstore) => (n: number) => on.nodes.update(nodeId(n % NODES), { routesDiscovered: n })
  const cost = async (name: string, limit: number): Promise<Result> => {
    const measured = await compareByTurns({ ours: write(store), raw: write(bare) }, { rounds, calls: CALLS })
    const target = atMost(limit, measured.ratio.p50, '×', `${limit} × without the log's triggers`)
    return { name: `${dialect}: update, ${name}`, unit: 'ms', ...measured, targets: [target] }
  }
  const idle = await cost('nobody subscribes', 1.1)
  await store.changes().ready()
  const logged = await cost('somebody subscribes', 1.5)
  return [idle, logged, ...(await heard(store, { dialect, quick }))]
}

async function heard(
  store: Meshstore,
  { dialect, quick }: { readonly dialect: string; readonly quick: boolean },
): Promise<Result[]> {
  const subscribed = store.changes()
  const token = await subscribed.ready()
  const delays: number[] = []
  for (let n = 0; n < (quick ? 50 : 300); n++) {
    const hearing = subscribed.next().then(() => performance.now())
    await new Promise((resolve) => setTimeout(resolve, 30 * Math.random()))
    await store.nodes.update(nodeId(n), { routesDiscovered: -1 - n })
    const committed = performance.now()
    delays.push((await hearing) - committed)
  }
  const many = quick ? 10_000 : 100_000
  for (let n = 0; n < many; n += BATCH)
    await store.nodes.saveMany(Array.from({ length: BATCH }, (_, index) => nodeOf(n, nodeId(index))))
  const behind = store.changes({ after: token })
  const begun = performance.now()
  for (let n = 0; n < many; n++) await behind.next()
  const rate = perSecond(summaryOf([performance.now() - begun]), many)
  const delay = summaryOf(delays)
  return [
    {
      name: `${dialect}: commit to subscriber`,
      unit: 'ms',
      ours: delay,
      targets: [atMost(50, delay.p50, 'ms', '50 ms')],
    },
    {
      name: `${dialect}: changes read`,
      unit: '/s',
      ours: rate,
      targets: [atLeast(20_000, rate.p50, '/s', '20,000/s')],
    },
  ]
}
