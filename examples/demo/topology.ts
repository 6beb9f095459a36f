/** Reads NetJSON NetworkGraphs (https://netjson.org/rfc.html) and makes nodes of them. */
import { readFileSync } from 'node:fs'
import type { NewMeshNode } from '../../src/index.ts'
import { UsageError } from './usage.ts'

export interface Link {
  readonly source: string
  readonly target: string
  readonly cost: number
  /** Like `wifi` or `vpn`, where the map says so. */
  readonly kind: string | undefined
}

export interface Topology {
  readonly label: string
  readonly protocol: string
  /** What a link's cost is: `latency_ms`, `1/TQ`, … */
  readonly metric: string | undefined
  readonly nodeIds: readonly string[]
  /** How many of the nodes only links name. */
  readonly unlisted: number
  readonly links: readonly Link[]
}

/** Throws UsageError. */
export function readTopologyFile(file: string): Topology {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`)
  }
  return readTopology(text, file)
}

/** Throws UsageError, which says where and why. `file` is what messages begin with. */
export function readTopology(text: string, file: string): Topology {
  const refuse = (problem: string): never => {
    throw new UsageError(`${file} is no NetJSON NetworkGraph: ${problem}.`)
  }
  const graph = objectOf(parsed(text, file))
  if (graph?.type !== 'NetworkGraph') return refuse(`"type" must be "NetworkGraph", and is ${shown(graph?.type)}`)
  if (!Array.isArray(graph.nodes)) return refuse('"nodes" must be a list')
  if (!Array.isArray(graph.links)) return refuse('"links" must be a list')

  const listed = new Set<string>()
  for (const [index, node] of graph.nodes.entries()) {
    const id = objectOf(node)?.id
    if (!isName(id)) return refuse(`nodes[${index}].id must be a text, and is ${shown(id)}`)
    listed.add(id)
  }
  const links = graph.links.map((link, index) => linkOf(objectOf(link), `links[${index}]`, refuse))
  const all = new Set(listed)
  for (const { source, target } of links) all.add(source).add(target)
  if (all.size === 0) return refuse('it names no nodes')
  return {
    label: isName(graph.label) ? graph.label : file,
    protocol: isName(graph.protocol) ? graph.protocol : 'unknown',
    metric: isName(graph.metric) ? graph.metric : undefined,
    nodeIds: [...all],
    unlisted: all.size - listed.size,
    links,
  }
}

type Members = Readonly<Record<string, unknown>>

function parsed(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError(`${file} is no JSON.`)
  }
}

function linkOf(link: Members | undefined, at: string, refuse: (problem: string) => never): Link {
  const { source, target, cost, properties } = link ?? {}
  if (!isName(source)) return refuse(`${at}.source must be a text, and is ${shown(source)}`)
  if (!isName(target)) return refuse(`${at}.target must be a text, and is ${shown(target)}`)
  if (typeof cost !== 'number' || !(cost >= 0)) {
    return refuse(`${at}.cost must be a number of 0 or more, and is ${shown(cost)}`)
  }
  const kind = objectOf(properties)?.type
  return { source, target, cost, kind: isName(kind) ? kind : undefined }
}

const objectOf = (value: unknown): Members | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : undefined
const isName = (value: unknown): value is string => typeof value === 'string' && value !== ''

const SHOWN_CHARACTERS = 40
function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  const text = JSON.stringify(value)
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`
}

/** What a node holds at most. */
const MOST_INTERFACES = 1_000

/** The nodes of all topologies, with the protocols and the interfaces that their links show. */
export function nodesOf(topologies: readonly Topology[]): NewMeshNode[] {
  const interfaces = new Map<string, Set<string>>()
  const protocols = new Map<string, Set<string>>()
  const of = (sets: Map<string, Set<string>>, id: string): Set<string> => {
    let set = sets.get(id)
    if (set === undefined) {
      set = new Set()
      sets.set(id, set)
    }
    return set
  }
  for (const { protocol, nodeIds, links } of topologies) {
    for (const id of nodeIds) of(protocols, id).add(protocol)
    for (const { source, target, kind } of links) {
      for (const id of new Set([source, target])) {
        const existing = of(interfaces, id)
        // A link of no kind has an interface to itself.
        if (existing.size < MOST_INTERFACES) existing.add(kind === undefined ? `if${existing.size}` : `${kind}0`)
      }
    }
  }
  return [...protocols].map(([nodeId, spoken]) => ({
    nodeId,
    interfaces: [...(interfaces.get(nodeId) ?? [])],
    protocols: [...spoken],
    started: interfaces.has(nodeId),
  }))
}
