/** The calls that two builds of the library make in turn. Both have the same rows, and every write changes values. */
import type { Meshstore, NewMeshNode } from '../src/index.ts'
import { bundleOf, keyOf, NODES, nodeId, nodeOf, policyText, TTL_SECONDS } from './data.ts'

interface Prepared {
  readonly run: () => Promise<unknown>
  /** Calls, or rows of one call: the times are divided by it. */
  readonly count: number
  /** Outside of the time: the file stays at its size. */
  readonly after?: () => Promise<unknown>
}

interface Operation {
  /** The calls of a round are made at once. */
  readonly isInFlight?: boolean
  readonly prepare: (store: Meshstore, round: number) => Prepared | Promise<Prepared>
}

const CALLS = { read: 2_000, write: 250, flight: 1_000 }

/** One caller that awaits each call. */
const oneByOne = (calls: number, call: (store: Meshstore, n: number) => Promise<unknown>): Operation => ({
  prepare: (store, round) => ({
    count: calls,
    run: async () => {
      for (let n = round * calls; n < (round + 1) * calls; n++) await call(store, n)
    },
  }),
})

const atOnce = (calls: number, call: (store: Meshstore, n: number) => Promise<unknown>): Operation => ({
  isInFlight: true,
  prepare: (store, round) => ({
    count: calls,
    run: () => Promise.all(Array.from({ length: calls }, (_, n) => call(store, round * calls + n))),
  }),
})

const newNodes = (round: number, count: number): NewMeshNode[] =>
  Array.from({ length: count }, (_, n) => nodeOf(n, `many-${round}-${n}`))

/** New rows at once, which are deleted outside of the time; `isDelete`: the other way round. */
const newAtOnce = (write: (store: Meshstore, node: NewMeshNode) => Promise<unknown>, isDelete = false): Operation => ({
  isInFlight: true,
  prepare: async (store, round) => {
    const nodes = newNodes(round, CALLS.flight)
    const create = () => Promise.all(nodes.map((node) => write(store, node)))
    const remove = () => Promise.all(nodes.map(({ nodeId: id }) => store.nodes.delete(id)))
    if (isDelete) await create()
    return { count: CALLS.flight, run: isDelete ? remove : create, after: isDelete ? async () => {} : remove }
  },
})

const many = (count: number, write: (store: Meshstore, nodes: NewMeshNode[]) => Promise<unknown>): Operation => ({
  prepare: (store, round) => {
    const nodes = newNodes(round, count)
    return {
      count,
      run: () => write(store, nodes),
      after: () => Promise.all(nodes.map(({ nodeId: id }) => store.nodes.delete(id))),
    }
  },
})

const hundred = (n: number): string[] => Array.from({ length: 100 }, (_, each) => scattered(n * 100 + each))

const HOT = ['hot-0', 'hot-1', 'hot-2', 'hot-3'] as const
const MOVES = 160

/** Eight callers who all move a route from one of four nodes to another of them. */
const hotTransactions: Operation = {
  isInFlight: true,
  prepare: async (store) => {
    await store.nodes.saveMany(HOT.map((id) => ({ ...nodeOf(0, id), routesDiscovered: 1_000_000 })))
    const move = (n: number): Promise<void> =>
      store.transaction(
        async (tx) => {
          for (const [id, by] of [[HOT[n % 4], -1] as const, [HOT[(n + 1 + (n % 3)) % 4], 1] as const]) {
            const node = await tx.nodes.get(id ?? '')
            await tx.nodes.update(id ?? '', { routesDiscovered: (node?.routesDiscovered ?? 0) + by })
          }
        },
        { timeoutMs: 30_000 },
      )
    const caller = async (first: number): Promise<void> => {
      for (let n = first; n < MOVES; n += 8) await move(n)
    }
    return { count: MOVES, run: () => Promise.all(Array.from({ length: 8 }, (_, first) => caller(first))) }
  },
}

const scattered = (n: number): string => nodeId((n * 7_919) % NODES)
const policyId = (n: number): string => `policy-${n % 500}`

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'read by id': oneByOne(CALLS.read, (store, n) => store.nodes.get(scattered(n))),
  'read 100': oneByOne(100, (store, n) => store.nodes.getMany(hundred(n))),
  'list 100': oneByOne(200, (store, n) => store.nodes.list({ after: scattered(n), limit: 100 })),
  iterate: {
    prepare: (store) => ({
      count: NODES,
      run: async () => {
        for await (const _ of store.nodes.iterate());
      },
    }),
  },
  'cache get': oneByOne(CALLS.read, (store, n) => store.pathCache.get(keyOf(n))),
  'cache set': oneByOne(CALLS.write, (store, n) =>
    store.pathCache.set(keyOf(n), bundleOf(n), { ttlSeconds: TTL_SECONDS }),
  ),
  insert: oneByOne(CALLS.write, (store, n) => store.nodes.create(nodeOf(n, `one-${n}`))),
  update: oneByOne(CALLS.write, (store, n) =>
    store.nodes.update(scattered(n), { started: Math.floor(n / NODES) % 2 === 0, routesDiscovered: n }),
  ),
  save: oneByOne(CALLS.write, (store, n) => store.nodes.save({ ...nodeOf(n, scattered(n)), routesDiscovered: n })),
  'record routes': oneByOne(CALLS.write, (store, n) => store.nodes.recordRoutes(scattered(n))),
  delete: {
    prepare: async (store, round) => {
      const ids = newNodes(round, CALLS.write)
      await store.nodes.createMany(ids)
      return {
        count: CALLS.write,
        run: async () => {
          for (const { nodeId: id } of ids) await store.nodes.delete(id)
        },
      }
    },
  },
  'policy save': oneByOne(CALLS.write, (store, n) =>
    store.policies.save({ policyId: policyId(n), yamlContent: policyText(n) }),
  ),
  transaction: oneByOne(CALLS.write, (store, n) =>
    store.transaction(async (tx) => {
      const node = await tx.nodes.get(scattered(n))
      await tx.nodes.update(scattered(n), { routesDiscovered: (node?.routesDiscovered ?? 0) + 1 })
    }),
  ),
  'inserts in flight': newAtOnce((store, node) => store.nodes.create(node)),
  'saves of new rows in flight': newAtOnce((store, node) => store.nodes.save(node)),
  'saves in flight': atOnce(CALLS.flight, (store, n) =>
    store.nodes.save({ ...nodeOf(n, scattered(n)), routesDiscovered: n }),
  ),
  'cache sets in flight': atOnce(CALLS.flight, (store, n) =>
    store.pathCache.set(keyOf(n), bundleOf(n), { ttlSeconds: TTL_SECONDS }),
  ),
  'updates in flight': atOnce(CALLS.flight, (store, n) => store.nodes.update(scattered(n), { routesDiscovered: n })),
  'topology updates in flight': atOnce(CALLS.flight, (store, n) =>
    store.nodes.update(scattered(n), { interfaces: [`mesh${n}`] }),
  ),
  'counters in flight': atOnce(CALLS.flight, (store, n) => store.nodes.recordRoutes(scattered(n))),
  'ten hot rows in flight': atOnce(CALLS.flight, (store, n) =>
    store.nodes.update(scattered(n % 10), { routesDiscovered: n }),
  ),
  'deletes in flight': newAtOnce((store, node) => store.nodes.create(node), true),
  'reads in flight': atOnce(CALLS.flight, (store, n) => store.nodes.get(scattered(n))),
  'reads of 100 in flight': atOnce(100, (store, n) => store.nodes.getMany(hundred(n))),
  'lists of 100 in flight': atOnce(200, (store, n) => store.nodes.list({ after: scattered(n), limit: 100 })),
  'transactions on hot rows': hotTransactions,
  'createMany of 100': many(100, (store, nodes) => store.nodes.createMany(nodes)),
  'createMany of 5,000': many(5_000, (store, nodes) => store.nodes.createMany(nodes)),
  'createMany of 10,000': many(10_000, (store, nodes) => store.nodes.createMany(nodes)),
  'saveMany of 5,000': many(5_000, (store, nodes) => store.nodes.saveMany(nodes)),
}
