/** A NetJSON NetworkGraph (https://netjson.org/rfc.html). */
import type { Link, Topology } from '../topology.ts'
import { type Content, isText, membersOf, refusing } from './values.ts'

export const NETJSON = 'NetJSON NetworkGraph'

/** `undefined`: another format. Throws TopologyError. */
export const fromNetJson = ({ json, file }: Content): Topology | undefined =>
  membersOf(json).type === 'NetworkGraph' ? topologyOf(json, file) : undefined

/** Throws TopologyError. `file` is what messages begin with. Nodes that only links name are nodes, too. */
export function topologyOf(document: unknown, file: string): Topology {
  const refuse = refusing(file, NETJSON)
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
