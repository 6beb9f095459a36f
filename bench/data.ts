/** Rows of the benchmark, of the size that a mesh's rows have. */
import type { Meshstore, NewMeshNode, PathBundle, PathKey } from '../src/index.ts'
import { openStorage } from './library.ts'
import { RawStore } from './raw-store.ts'

/** So many nodes are in the file unless a row says otherwise. */
export const NODES = 5_000
/** So many bundles are cached. */
export const BUNDLES = 5_000
export const TTL_SECONDS = 86_400

export const nodeId = (n: number): string => `node-${String(n).padStart(7, '0')}`
/** Multiplied by n modulo the number of rows: far apart, and each another one. */
const STRIDE = 1_299_709
/** One of so many nodes, with at least `before` behind it. */
export const farNode = ({ rows }: { readonly rows: number }, n: number, before = 0): string =>
  nodeId((n * STRIDE) % (rows - before))
export const nodeOf = (n: number, id = nodeId(n)): NewMeshNode => ({
  nodeId: id,
  interfaces: ['wlan0', `mesh${n % 4}`],
  protocols: n % 3 === 0 ? ['batman-adv', 'cjdns'] : ['batman-adv'],
  started: n % 2 === 0,
  routesDiscovered: n % 100,
})

export const keyOf = (n: number): PathKey => ({
  source: nodeId(n % NODES),
  destination: nodeId((n * 7 + 1) % NODES),
  k: 3,
})

/** Two disjoint paths and an alternative, with the metrics that a pathfinder computes: 1 KB of JSON. */
export function bundleOf(n: number): PathBundle {
  const { source, destination } = keyOf(n)
  const path = (group: number) => ({
    nodes: [source, nodeId((n + group * 31) % NODES), nodeId((n + group * 57) % NODES), destination],
    path_id: `${n}-${group}`,
    total_weight: 3.25 + group + n / 1_000,
    composite_score: 0.42 + group / 10,
    capacity_min: 0.8,
    latency_sum_ms: 14.5 + group * 2,
    reliability_product: 0.98,
    bandwidth_min_mbps: 54,
    disjoint_group: group,
  })
  return { source, destination, primary: [path(0), path(1)], alternatives: [path(2)] }
}

export const POLICY_ID = 'routes'
/** Three rules; every `n` gives another text of the same length. */
export const policyText = (n: number): string => `version: 1
rules:
  - id: batman-inside
    effect: ALLOW
    subject: "*"
    action: route_use:batman-adv
    resource: mesh.inside
    conditions: ["risk_score < 55", "ip_cidr 10.10.0.0/16"]
  - id: no-cjdns-at-night
    effect: DENY
    subject: "*"
    action: route_use:cjdns
    resource: mesh.inside
    conditions: ["time between 22:00-06:00"]
  - id: quarantine
    effect: DENY
    subject: node-${String(n % 1_000_000).padStart(6, '0')}
    action: READ
    resource: "*"
`

/** Fills a new file with nodes, a policy and cached bundles. */
export async function fill(store: Meshstore): Promise<void> {
  await store.nodes.createMany(Array.from({ length: NODES }, (_, n) => nodeOf(n)))
  await store.policies.create({ policyId: POLICY_ID, yamlContent: policyText(0) })
  const entries = Array.from({ length: BUNDLES }, (_, n) => ({
    key: keyOf(n),
    bundle: bundleOf(n),
    ttlSeconds: TTL_SECONDS,
  }))
  await store.pathCache.setMany(entries)
}

export async function filledFile(path: string): Promise<string> {
  const store = await openStorage(path)
  await fill(store)
  await store.close()
  return path
}

/** A new file with so many nodes and nothing else, written as fast as the driver can. */
export async function largeFile(path: string, nodes: number): Promise<string> {
  await (await openStorage(path)).close()
  const raw = new RawStore(path, 'normal')
  const batch = 10_000
  for (let first = 0; first < nodes; first += batch) {
    raw.createNodes(Array.from({ length: Math.min(batch, nodes - first) }, (_, n) => nodeOf(first + n)))
  }
  raw.raw.pragma('wal_checkpoint(TRUNCATE)')
  raw.close()
  return path
}
