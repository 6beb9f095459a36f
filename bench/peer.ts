/** The operations that every peer has for the nodes, so that all of them do the same. */
import type { MeshNode, NewMeshNode, PathBundle, PathKey } from '../src/index.ts'
import type { Durability } from './raw-store.ts'
import { medianOf } from './statistics.ts'

type Awaitable<T> = T | Promise<T>

export interface NodePeer {
  get(nodeId: string): Awaitable<MeshNode | undefined>
  getMany(nodeIds: readonly string[]): Awaitable<readonly MeshNode[]>
  list(after: string, limit: number): Awaitable<readonly MeshNode[]>
  insert(node: NewMeshNode): unknown
  update(nodeId: string, started: boolean): unknown
  upsert(node: NewMeshNode): unknown
  delete(nodeId: string): unknown
  close(): unknown
}

export interface SqlitePeer extends NodePeer {
  /** All of them or none. */
  insertMany(nodes: readonly NewMeshNode[]): unknown
  /** All rows by their ids, with as much memory as its documentation's way takes. */
  iterate(): Iterable<MeshNode> | AsyncIterable<MeshNode>
}

export interface CachePeer {
  get(key: PathKey): Awaitable<PathBundle | undefined>
  set(key: PathKey, bundle: PathBundle): unknown
  close(): unknown
}

export type Method = Exclude<keyof SqlitePeer | keyof CachePeer, 'close' | 'iterate'>
export type Arguments = readonly unknown[]

/** A file in `peers/sqlite/` exports this. */
export interface SqlitePeerModule {
  readonly open: (file: string, durability: Durability) => Awaitable<SqlitePeer>
}

/** A file in `peers/postgres/` exports this. */
export interface PostgresPeerModule {
  readonly open: (url: string, connections: number) => Awaitable<NodePeer>
}

/** A file in `peers/cache/` exports this: `where` is a file, or the port of a server. */
export interface CachePeerModule {
  readonly open: (where: string) => Awaitable<CachePeer>
}

/** Milliseconds for a call. One slow sync spoils an average, and hides in a median: reads are told by the one, writes by the other. */
export interface Taken {
  readonly mean: number
  /** The median of calls that were made one after the other. */
  readonly median: number
}

/** A peer that is open, wherever it runs. */
export interface Contestant {
  readonly name: string
  /** The version of a peer that no package of the benchmark brings. */
  readonly version?: string | undefined
  /** One after the other, or all at once. */
  readonly time: (method: Method, calls: readonly Arguments[], inFlight: boolean) => Promise<Taken>
  /** The result of a single call. */
  readonly answer: (method: Method, args: Arguments) => Promise<unknown>
  readonly close: () => Promise<void>
}

/** A peer in this process. */
export function contestant(name: string, peer: NodePeer | CachePeer): Contestant {
  const call = (method: Method): ((...args: unknown[]) => unknown) => {
    const found: unknown = Reflect.get(peer, method)
    if (typeof found !== 'function') throw new Error(`${name} has no ${method}.`)
    return found.bind(peer)
  }
  return {
    name,
    time: (method, calls, inFlight) => (inFlight ? atOnce(call(method), calls) : oneByOne(call(method), calls)),
    answer: async (method, args) => call(method)(...args),
    close: async () => {
      await peer.close()
    },
  }
}

async function atOnce(work: (...args: unknown[]) => unknown, calls: readonly Arguments[]): Promise<Taken> {
  const begun = performance.now()
  await Promise.all(calls.map(async (args) => work(...args)))
  return { mean: (performance.now() - begun) / calls.length, median: Number.NaN }
}

async function oneByOne(work: (...args: unknown[]) => unknown, calls: readonly Arguments[]): Promise<Taken> {
  const times: number[] = []
  const begun = performance.now()
  let before = begun
  for (const args of calls) {
    // A synchronous driver's call is over when it returns: waiting would be counted as its own.
    const result = work(...args)
    if (result instanceof Promise) await result
    const after = performance.now()
    times.push(after - before)
    before = after
  }
  return { mean: (before - begun) / calls.length, median: medianOf(times) }
}
