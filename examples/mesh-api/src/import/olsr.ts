/** A dump of OLSR: the topology of `jsoninfo`, or of `txtinfo`. */
import type { Link, Topology } from '../topology.ts'
import { type Content, isText, listOf, membersOf, numberIn, refusing } from './values.ts'

export const OLSR = 'dump of OLSR (the topology of jsoninfo or txtinfo)'

/** `jsoninfo` writes an ETX of 1 as 1,024. */
const ETX = 1_024

/** `undefined`: another format. Throws TopologyError. */
export function fromOlsr(content: Content): Topology | undefined {
  const hops = fromJson(content) ?? fromText(content)
  if (hops === undefined) return undefined
  const refuse = refusing(content.file, OLSR)
  const links = hops.flatMap(([source, target, etx], index): Link[] => {
    if (!isText(source) || !isText(target))
      return refuse(`topology[${index}] must name its last hop and its destination`)
    const cost = numberIn(etx)
    if (!(cost >= 0)) return refuse(`the cost from ${source} to ${target} must be a number of 0 or more`)
    // The link is there, and nothing gets through.
    return Number.isFinite(cost) ? [{ source, target, cost }] : []
  })
  if (hops.length === 0) refuse('its topology is empty')
  const nodeIds = [...new Set(hops.flatMap(([source, target]) => [String(source), String(target)]))]
  return { label: content.file, protocol: 'olsr', metric: 'ETX', nodeIds, links }
}

type Hop = readonly [source: unknown, target: unknown, etx: unknown]

function fromJson({ json }: Content): Hop[] | undefined {
  const topology = listOf(membersOf(json).topology)
  if (topology === undefined) return undefined
  return topology.map((each): Hop => {
    const { lastHopIP, destinationIP, tcEdgeCost } = membersOf(each)
    return [lastHopIP, destinationIP, numberIn(tcEdgeCost) / ETX]
  })
}

/** `Table: Topology`, a line of names, and a line for each hop up to an empty one. */
function fromText({ text }: Content): Hop[] | undefined {
  const lines = text.split(/\r?\n/)
  const at = lines.findIndex((line) => /^Table: Topology/i.test(line))
  if (at < 0) return undefined
  const rows = lines.slice(at + 2)
  const end = rows.findIndex((line) => line.trim() === '')
  return rows.slice(0, end < 0 ? rows.length : end).map((line): Hop => {
    const [destination, lastHop, ...rest] = line.trim().split(/\s+/)
    const cost = rest[2]
    return [lastHop, destination, cost === 'INFINITE' ? Number.POSITIVE_INFINITY : cost]
  })
}
