/** Rows of the process that is killed: everything in a row follows from its number, so that it can be checked. */
import type { NewMeshNode } from '../../src/index.ts'

/** Every so many writes one is a transaction of two nodes. */
export const PAIR_EVERY = 10

export const CRASH_PREFIX = 'crash-'

const node = (nodeId: string, n: number): NewMeshNode => ({
  nodeId: `${CRASH_PREFIX}${nodeId}`,
  interfaces: [`if${n}`],
  protocols: ['batman-adv'],
  started: n % 2 === 1,
  routesDiscovered: n,
})

export const crashNode = (n: number): NewMeshNode => node(String(n), n)
export const pairNodes = (n: number): [NewMeshNode, NewMeshNode] => [node(`${n}-one`, n), node(`${n}-other`, n)]
/** The nodes that one write makes. */
export const nodesOfWrite = (n: number): NewMeshNode[] => (n % PAIR_EVERY === 0 ? pairNodes(n) : [crashNode(n)])
