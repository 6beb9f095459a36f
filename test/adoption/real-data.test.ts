/** Real topologies and policies in a file of the application's. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { up } from '../../src/open/migrate.ts'
import { all } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { TWO_RULES } from '../support/samples.ts'
import type { Row } from './support/cells.ts'
import { client, contentOf, makeFile } from './support/client.ts'
import { NOW, nodeRow, pathRow, policyRow } from './support/ddl.ts'

const DATA = new URL('../../../shared/data/', import.meta.url)

interface Topology {
  readonly protocol?: string
  readonly nodes: readonly { readonly id: string | number }[]
  readonly links: readonly {
    readonly source: string | number
    readonly target: string | number
    readonly cost: number
  }[]
}

/** A small topology, used when the checkout is alone. */
const SMALL = {
  topologies: [
    {
      protocol: 'OLSR',
      nodes: [{ id: 'alpha' }, { id: 'fe80::1' }, { id: 'gamma' }],
      links: [
        { source: 'alpha', target: 'gamma', cost: 1.5 },
        { source: 'gamma', target: 'fe80::1', cost: 2 },
      ],
    },
  ],
  policies: { 'small.yaml': TWO_RULES },
}

function realData(): { topologies: readonly Topology[]; policies: Readonly<Record<string, string>> } {
  if (!existsSync(DATA)) {
    console.warn('!! NO REAL DATA HERE (../shared/data): a topology and a policy of this test stand in for it.')
    return SMALL
  }
  const filesOf = (folder: string): [string, string][] =>
    readdirSync(new URL(folder, DATA)).map((name) => [name, readFileSync(new URL(`${folder}${name}`, DATA), 'utf8')])
  return {
    topologies: filesOf('topologies/').map(([, text]) => JSON.parse(text)),
    policies: Object.fromEntries([...filesOf('policies/'), ...filesOf('policies-broken/')]),
  }
}

test(`real topologies and policies are there afterwards, made by ${client.name}`, async () => {
  const { topologies, policies } = realData()
  const rows: Row[] = []
  for (const [index, { protocol = 'static', nodes, links }] of topologies.entries()) {
    const named = (id: string | number): string => `${index}/${id}`
    for (const [position, { id }] of nodes.entries()) {
      const interfaces = links.filter(({ source }) => source === id).map(({ target }) => `to ${target}`)
      rows.push(
        nodeRow({
          node_id: named(id),
          interfaces: JSON.stringify(interfaces.slice(0, 1_000)),
          protocols: JSON.stringify([protocol]),
          started: position % 2 === 0,
          created_at: NOW + position / 7,
        }),
      )
    }
    const seen = new Set<string>()
    for (const { source, target, cost } of links) {
      const [from, to] = [named(source), named(target)]
      if (seen.has(`${from} ${to}`)) continue
      seen.add(`${from} ${to}`)
      const bundle = { source: from, destination: to, primary: [{ nodes: [from, to], total_weight: cost }] }
      rows.push(pathRow({ source: from, destination: to, k: 1n, bundle_json: JSON.stringify(bundle) }))
    }
  }
  for (const [policy_id, yaml_content] of Object.entries(policies)) rows.push(policyRow({ policy_id, yaml_content }))

  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), rows)
  const before = contentOf(path)
  const { adoption } = await up(path)
  const after = contentOf(path)
  const isAmbiguous = (row: Row): boolean =>
    row.table === 'path_cache' && /[:%]/.test(`${row.values[1]}${row.values[2]}`)
  const dropped = rows.filter(isAmbiguous).length
  expect({ nodes: after.nodes, policies: after.policies }).toEqual({ nodes: before.nodes, policies: before.policies })
  expect(adoption?.tables[2]).toMatchObject({ kept: before.path_cache.length - dropped, dropped, refused: 0 })
  console.log(adoption?.tables.map(({ table, kept }) => `${kept} ${table}`).join(', '))

  await using store = await openStorage(path)
  for (const [policyId, text] of Object.entries(policies))
    expect((await store.policies.get(policyId))?.yamlContent).toBe(text)
  expect(await all(store.nodes.iterate())).toHaveLength(after.nodes.length)
  expect(await all(store.pathCache.iterate())).toHaveLength(after.path_cache.length)
})
