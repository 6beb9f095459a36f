/** Topologies read from a file, and the part of them that is stored. */
import { expect, test } from 'vitest'
import { eachLastingBackend } from '../../../test/support/settings.ts'
import { topologyOf } from '../src/import/netjson.ts'
import { importFirst, importTopology } from '../src/import/store.ts'
import { everyLink } from '../src/tables/statements.ts'
import { asMesh, OWN } from './support/serving.ts'

const GRAPH = {
  type: 'NetworkGraph',
  label: 'A test',
  protocol: 'batman-adv',
  metric: '1/TQ',
  nodes: [{ id: 'a', label: 'Attic' }, { id: 'b' }],
  links: [
    { source: 'a', target: 'c', cost: 1.5, properties: { type: 'wifi' } },
    { source: 'a', target: 'd', cost: 2, properties: { type: 'wifi' } },
    { source: 'a', target: 'c', cost: 0 },
  ],
}

test('nodes, named by links alone, too, and links with their weights', () => {
  const { names, ...topology } = topologyOf(GRAPH, 'a file')
  expect(topology).toEqual({
    label: 'A test',
    protocol: 'batman-adv',
    metric: '1/TQ',
    nodeIds: ['a', 'b', 'c', 'd'],
    links: [
      { source: 'a', target: 'c', cost: 1.5, kind: 'wifi' },
      { source: 'a', target: 'd', cost: 2, kind: 'wifi' },
      { source: 'a', target: 'c', cost: 0, kind: undefined },
    ],
  })
  expect([...(names ?? [])]).toEqual([['a', 'Attic']])
})

test.each([
  ['another kind of document', { type: 'NetworkRoutes' }, /"type" must be "NetworkGraph"/],
  ['no lists', { type: 'NetworkGraph' }, /"nodes" and "links" must be lists/],
  ['no nodes', { ...GRAPH, nodes: [], links: [] }, /names no nodes/],
  ['a node without id', { ...GRAPH, nodes: [{}] }, /nodes\[0\]\.id/],
  ['a link without end', { ...GRAPH, links: [{ source: 'a', cost: 1 }] }, /links\[0\] must name/],
  ['a link that pays', { ...GRAPH, links: [{ source: 'a', target: 'b', cost: -1 }] }, /links\[0\]\.cost/],
  ['nothing', null, /"type" must be/],
])('%s is refused', (_, document, problem) => {
  expect(() => topologyOf(document, 'a file')).toThrow(problem)
})

eachLastingBackend('an imported mesh', (backend) => {
  test('adds what is missing: what became of its nodes since then stays', async () => {
    await using opened = await backend.open(OWN)
    const store = asMesh(opened.store)
    const topology = topologyOf(GRAPH, 'a file')
    expect(await importTopology(store, topology)).toEqual({ nodes: 4, links: 2 })
    expect(await store.nodes.get('a')).toMatchObject({
      interfaces: ['wifi0', 'if1'],
      protocols: ['batman-adv'],
      started: true,
    })
    expect(await store.nodes.get('b')).toMatchObject({ interfaces: [], started: false })
    expect(await store.tables.links.get('a:c')).toMatchObject({ source: 'a', target: 'c', cost: 0, kind: null })
    expect(await store.tables.nodeLabels.get('a:label')).toMatchObject({ nodeId: 'a', name: 'label', value: 'Attic' })
    await store.nodes.update('a', { started: false })
    await store.nodes.delete('c')
    expect(await store.tables.links.count()).toBe(1)
    const again = { ...topology, links: [{ source: 'a', target: 'c', cost: 7 }] }
    expect(await importTopology(store, again)).toEqual({ nodes: 1, links: 1 })
    expect(await store.nodes.get('a')).toMatchObject({ started: false })
    expect(await store.tables.links.get('a:c')).toMatchObject({ cost: 7 })
  })

  test('is stored by one of the servers that start at once', async () => {
    await using opened = await backend.open(OWN)
    const topology = topologyOf(GRAPH, 'a file')
    const stores = await Promise.all([1, 2, 3].map(async () => asMesh(await opened.openAgain())))
    const stored = await Promise.all(stores.map((store) => importFirst(store, topology)))
    expect(stored.filter((each) => each !== undefined)).toEqual([{ nodes: 4, links: 2 }])
  })

  test('may have any text as ids', async () => {
    await using opened = await backend.open(OWN)
    const store = asMesh(opened.store)
    const links = [
      { source: 'fe80::1', target: '2', cost: 1 },
      { source: 'fe80:', target: ':1:2', cost: 2 },
      { source: '100%', target: 'a%3Ab', cost: 3 },
    ]
    await importTopology(store, {
      ...topologyOf(GRAPH, 'a file'),
      names: new Map([['fe80::1', 'Attic']]),
      nodeIds: links.flatMap((link) => [link.source, link.target]),
      links,
    })
    expect((await store.query(everyLink)).toSorted((a, b) => a.cost - b.cost)).toEqual(links)
  })
})
