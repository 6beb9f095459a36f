/** Reads NetJSON NetworkGraphs (https://netjson.org/rfc.html) and derives nodes from them. */
import type { NewMeshNode } from '../schema/index.ts'
import { isId, MAX_LIST_ITEMS } from '../schema/rules.ts'

export interface Link {
  readonly source: string
  readonly target: string
  readonly cost: number
  /** For example `wifi` or `vpn`, if the document says so. */
  readonly kind: string | undefined
}

export interface Topology {
  readonly label: string
  readonly protocol: string
  /** Unit of a link's cost: `latency_ms`, `1/TQ`, … */
  readonly metric: string | undefined
  readonly nodeIds: readonly string[]
  /** Number of nodes that only links name. */
  readonly unlisted: number
  readonly links: readonly Link[]
}

/** Position of an element in the document: `nodes[3]`. */
export interface Place {
  readonly list: 'nodes' | 'links'
  readonly index: number
}

export interface GraphProblem extends Place {
  /** The member of the element, `''` for the element itself. */
  readonly member: string
  readonly message: string
}

export interface Graph {
  /** The valid part of the document. */
  readonly topology: Topology
  readonly problems: readonly GraphProblem[]
  /** First position of each node: in `nodes`, or in a link. */
  readonly places: ReadonlyMap<string, Place>
  /** Nodes that are listed again. */
  readonly repeated: readonly Place[]
}

/** The document is no NetworkGraph. The message says why, and contains no value. */
export class NoGraph extends Error {}

const OTHER_TYPES: readonly unknown[] = [
  'NetworkRoutes',
  'NetworkCollection',
  'DeviceConfiguration',
  'DeviceMonitoring',
]

/** Throws NoGraph. `name` is the label of a graph that has none. */
export function graphOf(document: unknown, name: string): Graph {
  const graph = objectOf(document)
  if (graph?.type !== 'NetworkGraph') {
    const is = OTHER_TYPES.includes(graph?.type) ? `, and is ${JSON.stringify(graph?.type)}` : ''
    throw new NoGraph(`"type" must be "NetworkGraph"${is}`)
  }
  const { nodes, links } = graph
  if (!Array.isArray(nodes)) throw new NoGraph('"nodes" must be a list')
  if (!Array.isArray(links)) throw new NoGraph('"links" must be a list')
  const reading = new Reading()
  for (const [index, node] of nodes.entries()) reading.node(objectOf(node), { list: 'nodes', index })
  const listed = reading.places.size
  for (const [index, link] of links.entries()) reading.link(objectOf(link), { list: 'links', index })
  const { places, problems, repeated } = reading
  return {
    topology: {
      label: isName(graph.label) ? graph.label : name,
      protocol: isIdText(graph.protocol) ? graph.protocol : 'unknown',
      metric: isName(graph.metric) ? graph.metric : undefined,
      nodeIds: [...places.keys()],
      unlisted: places.size - listed,
      links: reading.links,
    },
    problems,
    places,
    repeated,
  }
}

type Members = Readonly<Record<string, unknown>>

class Reading {
  readonly places = new Map<string, Place>()
  readonly links: Link[] = []
  readonly problems: GraphProblem[] = []
  readonly repeated: Place[] = []

  node(node: Members | undefined, place: Place): void {
    const id = node?.id
    if (!isIdText(id)) this.problems.push({ ...place, member: 'id', message: idProblem(id) })
    else if (this.places.has(id)) this.repeated.push(place)
    else this.places.set(id, place)
  }

  link(link: Members | undefined, place: Place): void {
    const { source, target, cost, properties } = link ?? {}
    const kind = objectOf(properties)?.type
    const found = [
      ['source', isIdText(source) ? undefined : idProblem(source)],
      ['target', isIdText(target) ? undefined : idProblem(target)],
      ['cost', typeof cost === 'number' && cost >= 0 ? undefined : 'must be a number of 0 or more'],
    ] as const
    const problems = found.flatMap(([member, message]) => (message === undefined ? [] : { ...place, member, message }))
    this.problems.push(...problems)
    if (problems.length > 0 || !isIdText(source) || !isIdText(target) || typeof cost !== 'number') return
    const ends = { source, target }
    this.links.push({
      ...ends,
      cost,
      kind: isName(kind) && isIdText(interfaceOf(kind)) ? kind : undefined,
    })
    for (const id of Object.values(ends)) if (!this.places.has(id)) this.places.set(id, place)
  }
}

const objectOf = (value: unknown): Members | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : undefined
const isName = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isIdText = (value: unknown): value is string => isId(value) === undefined
const idProblem = (value: unknown): string => (isName(value) ? (isId(value) ?? '') : 'must be a text')
const interfaceOf = (kind: string): string => `${kind}0`

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
        // Each link without a kind counts as an interface of its own.
        if (existing.size < MAX_LIST_ITEMS) existing.add(kind === undefined ? `if${existing.size}` : interfaceOf(kind))
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
