/** Each format, on something small; and on the maps of real meshes, where they lie beside the repository. */
import { expect, test } from 'vitest'
import { readTopologyFile, topologyIn } from '../src/import/read.ts'
import { realTopologyFile } from './support/topologies.ts'

const VIS = [
  {
    primary: 'fe:f0:00:00:01:01',
    secondary: ['fe:f0:00:00:01:02'],
    neighbors: [{ router: 'fe:f0:00:00:01:02', neighbor: 'fe:f0:00:00:02:02', metric: '1.275' }],
    clients: ['00:00:43:05:00:01'],
  },
  {
    primary: 'fe:f0:00:00:02:01',
    neighbors: [{ router: 'fe:f0:00:00:02:02', neighbor: 'fe:f0:00:00:01:02', metric: '1.000' }],
  },
]
const LINES = `{ "primary" : "fe:f0:00:00:01:01" }
{ "router" : "fe:f0:00:00:01:01", "neighbor" : "fe:f0:00:00:02:01", "label" : "1.020" }
{ "router" : "fe:f0:00:00:01:01", "gateway" : "00:00:43:05:00:01", "label" : "TT" }
`
const JSONINFO = {
  pid: 1,
  topology: [
    { destinationIP: '10.0.0.2', lastHopIP: '10.0.0.1', linkQuality: 1, tcEdgeCost: 1_536, validityTime: 290_000 },
    { destinationIP: '10.0.0.1', lastHopIP: '10.0.0.2', linkQuality: 1, tcEdgeCost: 1_024, validityTime: 290_000 },
  ],
}
const TXTINFO = `Table: Links
Local IP\tRemote IP

Table: Topology
Dest. IP\tLast hop IP\tLQ\tNLQ\tCost
10.0.0.2\t10.0.0.1\t1.000\t0.666\t1.500
10.0.0.3\t10.0.0.1\t0.000\t0.000\tINFINITE

Table: HNA
`
const VIEWER = {
  timestamp: '2026-01-01T00:00:00+0000',
  nodes: [{ node_id: 'aa', hostname: 'Attic' }, { node_id: 'bb' }, { node_id: 'cc', hostname: 'Cellar' }],
  links: [{ source: 'aa', target: 'bb', type: 'vpn', source_tq: 0.5, target_tq: 1 }],
}
const GRAPH = {
  version: 1,
  batadv: {
    nodes: [{ id: 'aa:aa', node_id: 'aa' }, { id: 'bb:bb' }],
    links: [{ source: 0, target: 1, tq: 1.25, type: 'other' }],
  },
}

const read = (content: unknown) => topologyIn(typeof content === 'string' ? content : JSON.stringify(content), 'a.dump')

test.each([
  [
    'a document of batadv-vis',
    { source_version: '2024.2', algorithm: 4, vis: VIS },
    'batman-adv',
    '1/TQ',
    [
      { source: 'fe:f0:00:00:01:01', target: 'fe:f0:00:00:02:01', cost: 1.275 },
      { source: 'fe:f0:00:00:02:01', target: 'fe:f0:00:00:01:01', cost: 1 },
    ],
  ],
  [
    'lines of batadv-vis',
    LINES,
    'batman-adv',
    '1/TQ',
    [{ source: 'fe:f0:00:00:01:01', target: 'fe:f0:00:00:02:01', cost: 1.02 }],
  ],
  [
    "OLSR's jsoninfo",
    JSONINFO,
    'olsr',
    'ETX',
    [
      { source: '10.0.0.1', target: '10.0.0.2', cost: 1.5 },
      { source: '10.0.0.2', target: '10.0.0.1', cost: 1 },
    ],
  ],
  ["OLSR's txtinfo", TXTINFO, 'olsr', 'ETX', [{ source: '10.0.0.1', target: '10.0.0.2', cost: 1.5 }]],
  ['a meshviewer.json', VIEWER, 'batman-adv', '1/TQ', [{ source: 'aa', target: 'bb', cost: 2, kind: 'vpn' }]],
  ['a graph.json', GRAPH, 'batman-adv', '1/TQ', [{ source: 'aa', target: 'bb:bb', cost: 1.25, kind: 'other' }]],
])('%s', (_, content, protocol, metric, links) => {
  expect(read(content)).toMatchObject({ label: 'a.dump', protocol, metric, links })
})

test('names and nodes without links are kept', () => {
  const { nodeIds, names } = read(VIEWER)
  expect(nodeIds).toEqual(['aa', 'bb', 'cc'])
  expect([...(names ?? [])]).toEqual([
    ['aa', 'Attic'],
    ['cc', 'Cellar'],
  ])
  // Something that does not get through is no link, and its node is there.
  expect(read(TXTINFO).nodeIds).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3'])
})

test.each([
  ['an unknown document', { routers: [] }],
  ['no JSON', 'digraph { a -> b }'],
  ['nothing', ''],
])('%s is refused with what was expected', (_, content) => {
  expect(() => read(content)).toThrow(
    /^a\.dump has an unknown format\. Expected: a NetJSON NetworkGraph, a dump of batman-adv .*OLSR.*Freifunk/,
  )
})

test.each([
  [
    'a neighbour without a name',
    { vis: [{ primary: 'a', neighbors: [{ router: 'a', metric: '1' }] }] },
    /neighbour 0 must name/,
  ],
  [
    'a metric that is none',
    { vis: [{ primary: 'a', neighbors: [{ router: 'a', neighbor: 'b', metric: '?' }] }] },
    /metric from a to b/,
  ],
  ['no neighbours', { vis: [] }, /names no neighbours/],
  ['a hop without an end', { topology: [{ lastHopIP: 'a', tcEdgeCost: 1 }] }, /topology\[0\] must name/],
  ['an empty topology', { topology: [] }, /topology is empty/],
  ['a quality above 1', { ...VIEWER, links: [{ source: 'aa', target: 'bb', source_tq: 2 }] }, /links\[0\]\.source_tq/],
  [
    'a place that is not in the list',
    { batadv: { nodes: [], links: [{ source: 0, target: 1, tq: 1 }] } },
    /two places in the list/,
  ],
])('%s is refused', (_, content, problem) => {
  expect(() => read(content)).toThrow(problem)
})

const bremen = realTopologyFile('freifunk-bremen')
test.skipIf(bremen === undefined)('the map of a real mesh', () => {
  const { nodeIds, links } = readTopologyFile(bremen ?? '')
  expect([nodeIds.length, links.length]).toEqual([834, 1_512])
})
