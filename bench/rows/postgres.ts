import type { Meshstore } from '../../src/index.ts'
import { compare, compareByTurns, eachAwaited } from '../compare.ts'
import type { Benchmark, Context } from '../context.ts'
import { NODES, nodeId, nodeOf } from '../data.ts'
import { openStorage } from '../library.ts'
import { NoServer, type Server, withDatabase, withServer } from '../postgres-server.ts'
import { RawPostgres } from '../raw-postgres.ts'
import { atLeast, atMostTimesRaw, inverse, perSecond, type Result, scaled } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const CONNECTIONS = 8
const IN_FLIGHT = 1_000
const MANY = 10_000
const HOT_ROWS = 4

const ROWS = {
  read: 'PostgreSQL: read node by id',
  insert: 'PostgreSQL: insert node, durable',
  update: 'PostgreSQL: update node, durable',
  inFlight: 'PostgreSQL: 1,000 inserts in flight',
  createMany: 'PostgreSQL: createMany of 10,000',
  hotRows: 'PostgreSQL: transactions, hot rows',
}

/** The library and `pg` by hand, each with a pool of its own on a database of its own, on one server. */
export const postgres: Benchmark = {
  name: 'postgres',
  run: async (context) => {
    try {
      return await withServer(async (server) => {
        const alone = await withBothSides(server, 1, (sides) => oneByOne(context, sides))
        const together = await withBothSides(server, CONNECTIONS, (sides) => atOnce(context, sides))
        const [first, ...rest] = [...alone, ...together]
        return first === undefined ? [] : [{ ...first, notes: server.notes }, ...rest]
      })
    } catch (error) {
      if (!(error instanceof NoServer)) throw error
      const notes = [`NOT MEASURED: ${error.message}`]
      return Object.values(ROWS).map((name) => ({ name, unit: '' as const, ours: summaryOf([]), targets: [], notes }))
    }
  },
}

interface Both {
  readonly store: Meshstore
  readonly raw: RawPostgres
  /** Takes away from each side what a row's rounds have added. */
  readonly remove: (prefix: string, ...from: readonly ('ours' | 'raw')[]) => Promise<void>
}

function withBothSides<T>(server: Server, connections: number, work: (both: Both) => Promise<T>): Promise<T> {
  return withDatabase(server, (ours) =>
    withDatabase(server, async (theirs) => {
      const administrators = { ours: new RawPostgres(ours, 1), raw: new RawPostgres(theirs, 1) }
      const raw = new RawPostgres(theirs, connections)
      try {
        for (const url of [ours, theirs]) {
          await using filling = await openStorage(url)
          await filling.nodes.createMany(Array.from({ length: NODES }, (_, n) => nodeOf(n)))
        }
        // Now, and not while something is measured.
        for (const each of Object.values(administrators)) await each.execute('VACUUM ANALYZE nodes')
        await administrators.raw.execute('CHECKPOINT')
        await using store = await openStorage({ url: ours, pool: { max: connections } })
        const remove: Both['remove'] = async (prefix, ...from) => {
          for (const side of from) {
            await administrators[side].execute(`DELETE FROM nodes WHERE node_id LIKE '${prefix}-%'`)
          }
        }
        return await work({ store, raw, remove })
      } finally {
        for (const each of [...Object.values(administrators), raw]) await each.close()
      }
    }),
  )
}

/** One caller that awaits each call, on one connection. */
async function oneByOne(context: Context, { store, raw }: Both): Promise<Result[]> {
  const ids = Array.from({ length: NODES }, (_, n) => nodeId((n * 7_919) % NODES))
  const id = (n: number): string => ids[n % NODES] ?? ''
  const calls = 500
  // Another part of the nodes in each round.
  context.progress(ROWS.read)
  const read = await compare(
    {
      ours: (round) => eachAwaited(calls, (n) => store.nodes.get(id(round * calls + n))),
      raw: (round) => eachAwaited(calls, (n) => raw.node(id(round * calls + n))),
    },
    context.quick ? 15 : 40,
  )
  const extent = { rounds: context.quick ? 10 : 30, calls: 40 }
  context.progress(ROWS.insert)
  const insert = await compareByTurns(
    {
      ours: (n) => store.nodes.create(nodeOf(NODES + n)),
      raw: (n) => raw.createNode(nodeOf(NODES + n)),
    },
    extent,
  )
  // Nodes with an even number are started: the first time around they stop, then they start again.
  const evenId = (n: number): string => nodeId((n * 2) % NODES)
  const started = (n: number): boolean => Math.floor((n * 2) / NODES) % 2 === 1
  context.progress(ROWS.update)
  const update = await compareByTurns(
    {
      ours: (n) => store.nodes.update(evenId(n), { started: started(n) }),
      raw: (n) => raw.startNode(evenId(n), started(n)),
    },
    extent,
  )
  return [
    {
      name: ROWS.read,
      unit: 'µs',
      ours: scaled(read.ours, 1_000),
      raw: scaled(read.raw, 1_000),
      ratio: read.ratio,
      targets: [atMostTimesRaw(1.3, read)],
    },
    { name: ROWS.insert, unit: 'ms', ...insert, targets: [] },
    { name: ROWS.update, unit: 'ms', ...update, targets: [] },
  ]
}

/** Many callers, on a pool of connections. */
async function atOnce(context: Context, both: Both): Promise<Result[]> {
  return [await inFlight(context, both), await createMany(context, both), await hotRows(context, both)]
}

/** A thousand callers at once with a row each, against a thousand statements that are a commit each. */
async function inFlight(context: Context, { store, raw, remove }: Both): Promise<Result> {
  context.progress(ROWS.inFlight)
  const batch = (round: number) => Array.from({ length: IN_FLIGHT }, (_, n) => nodeOf(n, `flight-${round}-${n}`))
  const measured = await compare(
    {
      ours: async (round) => {
        const nodes = batch(round)
        const begun = performance.now()
        await Promise.all(nodes.map((node) => store.nodes.create(node)))
        const took = performance.now() - begun
        await remove('flight', 'ours')
        return took
      },
      raw: async (round) => {
        const nodes = batch(round)
        const begun = performance.now()
        await Promise.all(nodes.map((node) => raw.createNode(node)))
        const took = performance.now() - begun
        await remove('flight', 'raw')
        return took
      },
    },
    context.quick ? 10 : 30,
  )
  const faster = inverse(measured.ratio)
  return {
    name: ROWS.inFlight,
    unit: '/s',
    ours: perSecond(measured.ours, IN_FLIGHT),
    raw: perSecond(measured.raw, IN_FLIGHT),
    ratio: faster,
    targets: [atLeast(5, faster.p50, '×', '5 × one statement a commit')],
  }
}

/** One call with many rows, against one statement made by hand for all of them. */
async function createMany(context: Context, { store, raw, remove }: Both): Promise<Result> {
  context.progress(ROWS.createMany)
  const many = (round: number) => Array.from({ length: MANY }, (_, n) => nodeOf(n, `many-${round}-${n}`))
  const measured = await compare(
    {
      ours: async (round) => {
        const nodes = many(round)
        const begun = performance.now()
        await store.nodes.createMany(nodes)
        const took = performance.now() - begun
        await remove('many', 'ours')
        return took
      },
      raw: async (round) => {
        const nodes = many(round)
        const begun = performance.now()
        await raw.createNodes(nodes)
        const took = performance.now() - begun
        await remove('many', 'raw')
        return took
      },
    },
    context.quick ? 2 : 6,
  )
  return {
    name: ROWS.createMany,
    unit: '/s',
    ours: perSecond(measured.ours, MANY),
    raw: perSecond(measured.raw, MANY),
    ratio: inverse(measured.ratio),
    targets: [],
  }
}

/** Callers who all move a route from one of a few nodes to another of them, in either order. */
async function hotRows(context: Context, { store }: Both): Promise<Result> {
  context.progress(ROWS.hotRows)
  const ids = Array.from({ length: HOT_ROWS }, (_, n) => `hot-${n}`)
  await store.nodes.createMany(ids.map((id) => ({ ...nodeOf(0, id), routesDiscovered: 1_000_000 })))
  const move = (from: string, to: string): Promise<void> =>
    store.transaction(
      async (tx) => {
        const source = await tx.nodes.get(from)
        await tx.nodes.update(from, { routesDiscovered: (source?.routesDiscovered ?? 0) - 1 })
        const target = await tx.nodes.get(to)
        await tx.nodes.update(to, { routesDiscovered: (target?.routesDiscovered ?? 0) + 1 })
      },
      { timeoutMs: 30_000 },
    )
  const each = 20
  const rates: number[] = []
  for (let round = 0; round < (context.quick ? 2 : 5); round++) {
    const caller = async (first: number): Promise<void> => {
      for (let n = 0; n < each; n++) {
        const from = (first + n) % HOT_ROWS
        const to = (from + 1 + (n % (HOT_ROWS - 1))) % HOT_ROWS
        await move(ids[from] ?? '', ids[to] ?? '')
      }
    }
    const begun = performance.now()
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, first) => caller(first)))
    rates.push((CONNECTIONS * each * 1_000) / (performance.now() - begun))
  }
  const left = await store.nodes.getMany(ids)
  const routes = left.reduce((sum, { routesDiscovered }) => sum + routesDiscovered, 0)
  if (routes !== HOT_ROWS * 1_000_000) throw new Error(`Of ${HOT_ROWS},000,000 routes ${routes} are left.`)
  return { name: ROWS.hotRows, unit: '/s', ours: summaryOf(rates), targets: [] }
}
