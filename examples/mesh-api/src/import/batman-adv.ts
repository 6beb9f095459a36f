/** A dump of batman-adv: `batadv-vis -f jsondoc`, or `-f json`, which writes a document in each line. */
import type { Link, Topology } from '../topology.ts'
import { type Content, isText, listOf, membersOf, numberIn, refusing } from './values.ts'

export const BATMAN_ADV = 'dump of batman-adv (batadv-vis -f jsondoc, or -f json)'

/** `undefined`: another format. Throws TopologyError. */
export function fromBatmanAdv(content: Content): Topology | undefined {
  const neighbours = fromDocument(content) ?? fromLines(content)
  if (neighbours === undefined) return undefined
  const refuse = refusing(content.file, BATMAN_ADV)
  const links = neighbours.map(([source, target, metric], index): Link => {
    if (!isText(source) || !isText(target)) return refuse(`neighbour ${index} must name a router and a neighbor`)
    const cost = numberIn(metric)
    // The metric is 255/TQ: the number of times that something is sent until it arrives.
    if (!(cost >= 0)) return refuse(`the metric from ${source} to ${target} must be a number of 0 or more`)
    return { source, target, cost }
  })
  if (links.length === 0) refuse('it names no neighbours')
  const nodeIds = [...new Set(links.flatMap(({ source, target }) => [source, target]))]
  return { label: content.file, protocol: 'batman-adv', metric: '1/TQ', nodeIds, links }
}

type Neighbour = readonly [source: unknown, target: unknown, metric: unknown]

/** A router has several addresses: the primary one stands for all. */
function fromDocument({ json }: Content): Neighbour[] | undefined {
  const routers = listOf(membersOf(json).vis)
  if (routers === undefined) return undefined
  const primary = new Map<unknown, unknown>()
  for (const router of routers) {
    const { primary: first, secondary, neighbors } = membersOf(router)
    for (const other of listOf(secondary) ?? []) primary.set(other, first)
    for (const each of listOf(neighbors) ?? []) primary.set(membersOf(each).router, first)
  }
  return routers.flatMap((router) =>
    (listOf(membersOf(router).neighbors) ?? []).map((each): Neighbour => {
      const { neighbor, metric } = membersOf(each)
      return [membersOf(router).primary, primary.get(neighbor) ?? neighbor, metric]
    }),
  )
}

function fromLines({ text, json }: Content): Neighbour[] | undefined {
  if (json !== undefined && !('router' in membersOf(json))) return undefined
  const found: Neighbour[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      return undefined
    }
    const { router, neighbor, label } = membersOf(value)
    if (neighbor !== undefined && router !== undefined) found.push([router, neighbor, label])
    else if (!('primary' in membersOf(value) || 'secondary' in membersOf(value) || 'gateway' in membersOf(value)))
      return undefined
  }
  return found.length === 0 ? undefined : found
}
