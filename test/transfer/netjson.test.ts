/** NetJSON NetworkGraphs: every real map that is at hand, and what is refused of broken ones, by line. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { linesOfElements } from '../../src/transfer/json-lines.ts'
import { lastingBackends } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { imported, NOW } from './support/transferred.ts'

/** Maps that others made, beside the repository, if they are there. */
const REAL = join(import.meta.dirname, '../../../shared/data/topologies')
const files = existsSync(REAL) ? readdirSync(REAL).filter((file) => file.endsWith('.json')) : []
if (files.length === 0) console.warn(`!! There are no real topologies at ${REAL}: they are not imported in this run.`)

interface NetJson {
  readonly protocol: string
  readonly nodes: readonly { id: string }[]
  readonly links: readonly { source: string; target: string }[]
}

describe.each(lastingBackends)('on $name', (backend) => {
  test.skipIf(files.length === 0).each(files)('%s', async (file) => {
    await using opened = await backend.open()
    const text = readFileSync(join(REAL, file), 'utf8')
    const { protocol, nodes, links }: NetJson = JSON.parse(text)
    const linked = new Set(links.flatMap(({ source, target }) => [source, target]))
    const ids = new Set([...nodes.map(({ id }) => id), ...linked])
    const { report, refused } = await imported(opened.url, text)
    expect(refused).toEqual([])
    expect(report).toMatchObject({ format: 'netjson', imported: true, rows: { nodes: { added: ids.size } } })
    let seen = 0
    for await (const node of opened.store.nodes.iterate()) {
      seen++
      expect(ids).toContain(node.nodeId)
      expect(node).toMatchObject({ protocols: [protocol], started: linked.has(node.nodeId), createdAt: NOW })
      expect(node.interfaces.length > 0).toBe(linked.has(node.nodeId))
    }
    expect(seen).toBe(ids.size)
  })

  const graph = (...ids: string[]): string =>
    JSON.stringify({
      type: 'NetworkGraph',
      protocol: 'olsr',
      nodes: ids.map((id) => ({ id })),
      links: [{ source: 'a', target: 'b', cost: 1, properties: { type: 'wifi' } }],
    })

  test('a node that is there keeps its routes and its time of creation', async () => {
    await using opened = await backend.open()
    const createdAt = new Date(5_000)
    await opened.store.nodes.create({ nodeId: 'a', interfaces: [], protocols: [], routesDiscovered: 9, createdAt })
    expect(await imported(opened.url, graph('a', 'c'))).toMatchObject({ refused: ['1 is there already'] })
    expect(await opened.store.nodes.count()).toBe(1)
    const { report } = await imported(opened.url, graph('a', 'c'), { onConflict: 'replace' })
    expect(report.rows.nodes).toMatchObject({ added: 2, replaced: 1 })
    const derived = { interfaces: ['wifi0'], protocols: ['olsr'], started: true }
    expect(await opened.store.nodes.get('a')).toMatchObject({ ...derived, routesDiscovered: 9, createdAt })
    expect(await opened.store.nodes.get('b')).toMatchObject({ ...derived, createdAt: NOW })
  })
})

const BROKEN = `\ufeff{
  "type": "NetworkGraph", "label": "a \\"nodes\\": [ {",
  "nodes": [
    { "id": "a" },
    { "id": 3 },
    { "label": "no id",
      "properties": { "links": [1, 2] } }, { "id": "${'x'.repeat(256)}" },
    "b",

    { "id": "a" }
  ],
  "links": [
    { "source": "a", "target": "c", "cost": 1 },
    { "source": "a", "cost": "secret" },
    { "source": "", "target": "a", "cost": -1 }
  ]
}`

test('what is refused, by line', async () => {
  using folder = temporaryFolder()
  const url = folder.file('mesh.db')
  const { report, refused } = await imported(url, BROKEN.replaceAll('\n', '\r\n'))
  expect(refused).toEqual([
    '5 nodes[1].id must be a text',
    '6 nodes[2].id must be a text',
    '7 nodes[3].id must be 1–255 characters',
    '8 nodes[4].id must be a text',
    '10 nodes[5].id is listed already',
    '14 links[1].target must be a text',
    '14 links[1].cost must be a number of 0 or more',
    '15 links[2].source must be a text',
    '15 links[2].cost must be a number of 0 or more',
  ])
  expect(report).toMatchObject({ imported: false })
  await imported(url, BROKEN, { skipRefused: true })
  await using store = await openStorage(url)
  expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['a', 'c'])
})

test('the lines of elements, whatever stands between them', () => {
  const lines = linesOfElements('{"a":\n[\n1,\n"[,]\\"",\n{"a":[5]},[],\nnull ,2],"b":{"c":[1]},\n"d":[],"e":[\n\n{}]}')
  expect([...lines]).toEqual([
    ['a', [3, 4, 5, 5, 6, 6]],
    ['d', []],
    ['e', [9]],
  ])
})

test('a document that is too large to be held', async () => {
  using folder = temporaryFolder()
  const large = Buffer.alloc(65 * 1_048_576, ' ')
  large.write('{')
  const error = await expectCode(imported(folder.file('mesh.db'), large), 'VALIDATION')
  expect(error.message).toContain('must not be larger than')
})
