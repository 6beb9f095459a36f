/** Units that are written while some call fails: each is there as a whole or not at all. */
import type { Meshstore } from '../../src/index.ts'
import { bundle, manyNodes, node, numbered, pathKey, policy } from '../support/samples.ts'

export interface Unit {
  readonly name: string
  /** The nodes that are there if it has happened. */
  readonly nodes: readonly string[]
  readonly run: (store: Meshstore) => Promise<unknown>
}

/** 2 KB: a unit takes a page of its own. */
const interfaces = Array.from({ length: 50 }, (_, index) => `interface-${index}-of-a-node-with-many-of-them`)

const single = (prefix: string, index: number): Unit => {
  const nodeId = numbered(prefix, index)
  return { name: nodeId, nodes: [nodeId], run: (store) => store.nodes.create(node(nodeId, { interfaces })) }
}

const singles = (prefix: string, count: number): Unit[] =>
  Array.from({ length: count }, (_, index) => single(prefix, index))

const many: Unit = {
  name: 'many',
  nodes: manyNodes(20, 'many').map(({ nodeId }) => nodeId),
  run: (store) => store.nodes.createMany(manyNodes(20, 'many').map((each) => ({ ...each, interfaces }))),
}

const transaction = (name: string): Unit => {
  const nodes = manyNodes(3, name)
  return {
    name,
    nodes: nodes.map(({ nodeId }) => nodeId),
    run: (store) =>
      store.transaction(async (tx) => {
        for (const each of nodes) await tx.nodes.create(each)
        await tx.policies.save(policy(name))
        await tx.pathCache.set(pathKey(name, 'b'), bundle(name, 'b'), { ttlSeconds: 60 })
      }),
  }
}

/** This unit leaves no node, and may fail all the same. */
const cache: Unit = {
  name: 'cache',
  nodes: [],
  run: async ({ pathCache }) => {
    await pathCache.setMany([1, 2, 3].map((k) => ({ key: pathKey('a', 'b', k), bundle: bundle('a', 'b') })))
    await pathCache.clear()
    await pathCache.sweep()
  },
}

/** One after the other; those of one list at once. */
export const UNITS: readonly (readonly Unit[])[] = [
  ...singles('single', 30).map((unit) => [unit]),
  singles('together', 12),
  [many],
  [transaction('first')],
  [cache],
  [transaction('second'), single('beside', 0)],
  ...singles('last', 3).map((unit) => [unit]),
]

export const EVERY_UNIT: readonly Unit[] = UNITS.flat()
