import { statSync } from 'node:fs'
import type { Meshstore } from '../../../src/index.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../support/samples.ts'
import { PAIRS, pairIds } from '../programs/pairs.ts'

/** A little of everything. */
export async function fill(store: Meshstore): Promise<void> {
  await store.nodes.createMany([...manyNodes(300), node('ü😀', { started: true, routesDiscovered: 7 })])
  await store.nodes.update('n-0003', { interfaces: [] })
  await store.policies.createMany([policy('default'), policy('ü', '# 😀\r\nrules: []')])
  await store.pathCache.set(pathKey('a:b', 'c%'), bundle('a:b', 'c%'), { ttlSeconds: 3_600 })
}

/** 8 MB: a backup takes several steps. */
export async function fillLarge(store: Meshstore): Promise<void> {
  const interfaces = Array.from({ length: 40 }, (_, index) => `interface-number-${index}-with-a-long-name`)
  await store.nodes.createMany(Array.from({ length: 4_000 }, (_, index) => node(`large-${index}`, { interfaces })))
  await store.nodes.createMany(Array.from({ length: PAIRS }, (_, index) => pairIds(index).map((id) => node(id))).flat())
}

export const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8)
