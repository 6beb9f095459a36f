/** A map of a Freifunk community: `meshviewer.json`, or the older `graph.json`. */
import type { Link, Topology } from '../topology.ts'
import { type Content, isText, listOf, membersOf, numberIn, refusing } from './values.ts'

export const FREIFUNK = 'map of Freifunk (meshviewer.json or graph.json)'

/** `undefined`: another format. Throws TopologyError. */
export const fromFreifunk = (content: Content): Topology | undefined => fromViewer(content) ?? fromGraph(content)

const named = (file: string): Pick<Topology, 'label' | 'protocol' | 'metric'> => ({
  label: file,
  protocol: 'batman-adv',
  metric: '1/TQ',
})

function fromViewer({ json, file }: Content): Topology | undefined {
  const [nodes, links] = [listOf(membersOf(json).nodes), listOf(membersOf(json).links)]
  if (nodes === undefined || links === undefined || !('timestamp' in membersOf(json))) return undefined
  const refuse = refusing(file, FREIFUNK)
  const names = new Map<string, string>()
  const nodeIds = new Set<string>()
  for (const [index, node] of nodes.entries()) {
    const { node_id: id, hostname } = membersOf(node)
    if (!isText(id)) return refuse(`nodes[${index}].node_id must be a text`)
    nodeIds.add(id)
    if (isText(hostname)) names.set(id, hostname)
  }
  const read = links.map((link, index): Link => {
    const { source, target, type, source_tq, target_tq } = membersOf(link)
    if (!isText(source) || !isText(target)) return refuse(`links[${index}] must name its source and its target`)
    // The weaker direction counts.
    const quality = Math.min(numberIn(source_tq), numberIn(target_tq ?? source_tq))
    if (!(quality > 0 && quality <= 1)) return refuse(`links[${index}].source_tq must be above 0 and at most 1`)
    nodeIds.add(source).add(target)
    return { source, target, cost: 1 / quality, kind: isText(type) ? type : undefined }
  })
  if (nodeIds.size === 0) refuse('it names no nodes')
  return { ...named(file), nodeIds: [...nodeIds], links: read, names }
}

/** Its links name nodes by their place in the list. */
function fromGraph({ json, file }: Content): Topology | undefined {
  const graph = membersOf(membersOf(json).batadv)
  const [nodes, links] = [listOf(graph.nodes), listOf(graph.links)]
  if (nodes === undefined || links === undefined) return undefined
  const refuse = refusing(file, FREIFUNK)
  const ids = nodes.map((node, index): string => {
    const { node_id: nodeId, id } = membersOf(node)
    if (isText(nodeId)) return nodeId
    return isText(id) ? id : refuse(`batadv.nodes[${index}].id must be a text`)
  })
  const read = links.map((link, index): Link => {
    const { source, target, tq, type } = membersOf(link)
    const [from, to] = [ids[numberIn(source)], ids[numberIn(target)]]
    if (from === undefined || to === undefined) return refuse(`batadv.links[${index}] must name two places in the list`)
    const cost = numberIn(tq)
    if (!(cost >= 1)) return refuse(`batadv.links[${index}].tq must be a number of 1 or more`)
    return { source: from, target: to, cost, kind: isText(type) ? type : undefined }
  })
  if (ids.length === 0) refuse('it names no nodes')
  return { ...named(file), nodeIds: [...new Set(ids)], links: read }
}
