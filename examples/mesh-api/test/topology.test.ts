/** What is read from a file, and what of it is stored. */
import { expect, test } from 'vitest'
import { eachLastingBackend } from '../../../test/support/settings.ts'
import { storeFirstNodes } from '../src/first-nodes.ts'
import { topologyOf } from '../src/topology.ts'

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

eachLastingBackend('the nodes of a topology', (backend) => {
  test('are stored once: what became of them since then stays', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const topology = topologyOf(GRAPH, 'a file')
    expect(await storeFirstNodes(store, topology)).toBe(4)
    expect(await store.nodes.get('a')).toMatchObject({
      interfaces: ['wifi0', 'if1'],
      protocols: ['batman-adv'],
      started: true,
    })
    expect(await store.nodes.get('b')).toMatchObject({ interfaces: [], started: false })
    await store.nodes.update('a', { started: false })
    await store.nodes.delete('c')
    expect(await storeFirstNodes(store, topology)).toBe(0)
    expect(await store.nodes.get('a')).toMatchObject({ started: false })
    expect(await store.nodes.count()).toBe(3)
  })

  test('are stored by one of those who start at once', async () => {
    await using opened = await backend.open()
    const topology = topologyOf(GRAPH, 'a file')
    const stores = await Promise.all([1, 2, 3].map(() => opened.openAgain()))
    const stored = await Promise.all(stores.map((store) => storeFirstNodes(store, topology)))
    expect(stored.toSorted()).toEqual([0, 0, 4])
  })
})
