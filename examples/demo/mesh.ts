/** The main job: nodes, policies and paths of topologies in a store. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Meshstore, type NewMeshNode, type PathKey, policyDocuments } from '../../src/index.ts'
import type { MeshBundle } from '../mesh-api/src/pathfinder/bundle.ts'
import { Pathfinder } from '../mesh-api/src/pathfinder/pathfinder.ts'
import { StoredPolicies } from '../mesh-api/src/states.ts'
import { pairsOf } from './pairs.ts'
import type { Progress } from './progress.ts'
import { nodesOf, type Topology } from './topology.ts'

export const TTL_SECONDS = 3_600
/** How many disjoint paths a pair asks for. */
const K = 3
const IN_FLIGHT = 1_000
const POLICIES = new URL('../policies/', import.meta.url)

export interface LoadOptions {
  /** Fill up to so many nodes. */
  readonly nodes: number
  /** Cache so many bundles at most. */
  readonly bundles: number
}

export interface Loaded {
  readonly topologies: readonly { label: string; nodes: number; unlisted: number; links: number }[]
  readonly nodes: number
  readonly policies: readonly { policyId: string; rulesCount: number }[]
  readonly bundles: number
  /** How many bundles have none, one, two and three paths. */
  readonly bundlesByPaths: readonly number[]
  readonly filled: { readonly nodes: number; readonly perSecond: number | undefined }
}

export async function load(
  store: Meshstore,
  topologies: readonly Topology[],
  options: LoadOptions,
  progress: Progress,
): Promise<Loaded> {
  const nodes = nodesOf(topologies)
  progress.begin('storing nodes', 1)
  await store.nodes.createMany(nodes)
  const described = topologies.map(({ label, nodeIds, unlisted, links }) => ({
    label,
    nodes: nodeIds.length,
    unlisted,
    links: links.length,
  }))
  for (const { label, nodes, links, unlisted } of described) {
    const note =
      unlisted === 0 ? '' : ` (${count(unlisted, 'of the nodes is', 'of the nodes are')} named by links only)`
    progress.done(`  ${label}: ${count(nodes, 'node')}, ${count(links, 'link')}${note}`)
  }
  const policies = await storePolicies(store)
  const rules = policies.reduce((sum, { rulesCount }) => sum + rulesCount, 0)
  progress.done(`  ${count(policies.length, 'policy', 'policies')} with ${count(rules, 'rule')}`)
  const bundlesByPaths = await cachePaths(store, topologies, options.bundles, progress)
  const filled = await fillUp(store, nodes, options.nodes, progress)
  const bundles = bundlesByPaths.reduce((sum, of) => sum + of, 0)
  return { topologies: described, nodes: nodes.length, policies, bundles, bundlesByPaths, filled }
}

async function storePolicies(store: Meshstore): Promise<{ policyId: string; rulesCount: number }[]> {
  const files = readdirSync(POLICIES).filter((file) => file.endsWith('.yaml'))
  const policies = files.map((file) => ({
    policyId: file.slice(0, -'.yaml'.length),
    yamlContent: readFileSync(fileURLToPath(new URL(file, POLICIES)), 'utf8'),
  }))
  const stored = await store.policies.createMany(policies)
  return stored.map(({ policyId, rulesCount }) => ({ policyId, rulesCount }))
}

async function cachePaths(
  store: Meshstore,
  topologies: readonly Topology[],
  limit: number,
  progress: Progress,
): Promise<number[]> {
  const byPaths: number[] = Array.from({ length: K + 1 }, () => 0)
  const limitEach = Math.ceil(limit / topologies.length)
  progress.begin('finding and caching paths', limitEach * topologies.length)
  const policies = await new StoredPolicies(policyDocuments).asOfNow(store)
  const now = new Date()
  let filtered = 0
  for (const topology of topologies) {
    const finder = new Pathfinder(topology)
    const find = (key: PathKey): MeshBundle => {
      const bundle = finder.find({ ...key, mayUse: policies.mayUse(key.source, { now }) })
      filtered = Math.max(filtered, bundle.stats.policy_filtered)
      return bundle
    }
    await inFlight(pairsOf(topology.nodeIds, limitEach), async (pair) => {
      const key = { ...pair, k: K }
      const bundle = await store.pathCache.getOrCompute(key, () => find(key), { ttlSeconds: TTL_SECONDS })
      byPaths[bundle.primary.length] = (byPaths[bundle.primary.length] ?? 0) + 1
      progress.advance()
    })
  }
  const bundles = byPaths.reduce((sum, of) => sum + of, 0)
  const spread = byPaths.map((of, paths) => ({ of, paths })).filter(({ of }) => of > 0)
  const shares = spread.map(({ of, paths }) => `${of} with ${count(paths, 'path')}`).join(', ')
  progress.done(`  ${count(bundles, 'bundle')} of paths cached for ${TTL_SECONDS / 60} minutes: ${shares}`)
  if (filtered > 0)
    progress.done(`  the policies keep ${count(filtered, 'node or link', 'nodes and links')} out of them`)
  return byPaths
}

/** Copies of the nodes under ids of their own: one write each, many of them in flight. */
async function fillUp(
  store: Meshstore,
  nodes: readonly NewMeshNode[],
  upTo: number,
  progress: Progress,
): Promise<Loaded['filled']> {
  const missing = Math.max(0, upTo - nodes.length)
  if (missing === 0) return { nodes: 0, perSecond: undefined }
  progress.begin('filling up', missing)
  const copies = Array.from({ length: missing }, (_, n): NewMeshNode => {
    const { interfaces, protocols } = nodes[n % nodes.length] ?? { interfaces: [], protocols: [] }
    return { nodeId: `copy-${String(n).padStart(5, '0')}`, interfaces, protocols, routesDiscovered: n % 100 }
  })
  const begun = performance.now()
  await inFlight(copies, async (node) => {
    await store.nodes.create(node)
    progress.advance()
  })
  const perSecond = Math.round((missing * 1_000) / (performance.now() - begun))
  const rate = `${perSecond.toLocaleString('en')}/s, each on disk when acknowledged`
  progress.done(`  ${count(missing, 'more node')} to fill up, copies under other ids: ${rate}`)
  return { nodes: missing, perSecond }
}

async function inFlight<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let first = 0; first < items.length; first += IN_FLIGHT) {
    await Promise.all(items.slice(first, first + IN_FLIGHT).map(work))
  }
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`
}
