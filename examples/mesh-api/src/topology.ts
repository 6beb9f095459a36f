/** The mesh's links: the application's own data, from a NetJSON NetworkGraph (https://netjson.org/rfc.html). */
import { readFileSync } from 'node:fs'

export interface Link {
  readonly source: string
  readonly target: string
  /** What the pathfinder keeps small: 0 or more. */
  readonly cost: number
  /** Like `wifi` or `vpn`, where the map says so. */
  readonly kind?: string | undefined
}

export interface Topology {
  readonly label: string
  /** What all of its links speak: `batman-adv`, `static`, … */
  readonly protocol: string
  /** What a link's cost is: `latency_ms`, `1/TQ`, … */
  readonly metric?: string | undefined
  readonly nodeIds: readonly string[]
  readonly links: readonly Link[]
  /** What a person calls a node, where the map says so. */
  readonly names?: ReadonlyMap<string, string>
}

/** A file that holds no topology; the message says where and why. */
export class TopologyError extends Error {}

/** Throws TopologyError. */
export function readTopologyFile(file: string): Topology {
  let document: unknown
  try {
    document = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new TopologyError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`)
  }
  return topologyOf(document, file)
}

/** Throws TopologyError. `file` is what messages begin with. Nodes that only links name are nodes, too. */
export function topologyOf(document: unknown, file: string): Topology {
  const refuse = (problem: string): never => {
    throw new TopologyError(`${file} is no NetJSON NetworkGraph: ${problem}.`)
  }
  const { type, label, protocol, metric, nodes, links } = membersOf(document)
  if (type !== 'NetworkGraph') refuse('"type" must be "NetworkGraph"')
  if (!Array.isArray(nodes) || !Array.isArray(links)) return refuse('"nodes" and "links" must be lists')
  const nodeIds = new Set<string>()
  const names = new Map<string, string>()
  for (const [index, node] of nodes.entries()) {
    const { id, label } = membersOf(node)
    if (!isText(id)) return refuse(`nodes[${index}].id must be a text`)
    nodeIds.add(id)
    if (isText(label)) names.set(id, label)
  }
  const read = links.map((link, index): Link => {
    const { source, target, cost, properties } = membersOf(link)
    if (!isText(source) || !isText(target)) return refuse(`links[${index}] must name its source and its target`)
    if (typeof cost !== 'number' || !(cost >= 0)) return refuse(`links[${index}].cost must be a number of 0 or more`)
    nodeIds.add(source).add(target)
    const { type: kind } = membersOf(properties)
    return { source, target, cost, kind: isText(kind) ? kind : undefined }
  })
  if (nodeIds.size === 0) refuse('it names no nodes')
  return {
    label: isText(label) ? label : file,
    protocol: isText(protocol) ? protocol : 'unknown',
    metric: isText(metric) ? metric : undefined,
    nodeIds: [...nodeIds],
    links: read,
    names,
  }
}

const membersOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
