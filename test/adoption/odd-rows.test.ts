/** Rows that look odd and can be kept: they are there afterwards, to the last bit, and can be read. */
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { up } from '../../src/open/migrate.ts'
import { all } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { Bytes, type Row } from './support/cells.ts'
import { contentOf, makeFile } from './support/client.ts'
import { DDL, INTEGER_DDL, NOW, nodeRow, pathRow, policyRow } from './support/ddl.ts'

const MAX_TIME = 253_402_300_799
const SMALLEST_ROWID = -(2n ** 63n)

const times: readonly number[] = [
  0,
  -0,
  -1,
  -86_400.000_001,
  Number.MIN_VALUE,
  1e-6,
  NOW,
  NOW + 0.000_000_5,
  1_762_300_800.9995,
  253_402_300_798.999_97,
  MAX_TIME,
  -MAX_TIME,
]

const rows: readonly Row[] = [
  ...times.map((time, index) => nodeRow({ node_id: `time-${index}`, created_at: time, updated_at: time })),
  ...times.map((time, index) => policyRow({ policy_id: `time-${index}`, created_at: time, updated_at: time })),
  ...times.map((time, index) => pathRow({ source: `time-${index}`, created_at: time, expires_at: time })),
  nodeRow({ node_id: 'integer time', created_at: 5n, updated_at: 0n }),
  nodeRow({ node_id: 'text of a time', created_at: '1762300800.25' }),
  nodeRow({ node_id: 'flag as a real', started: 1 }),
  nodeRow({ node_id: "flag as a text of SQLite's", started: '1' }),
  nodeRow({ node_id: 'False', started: false }),
  nodeRow({ node_id: 'many routes', routes_discovered: 2n ** 53n - 1n }),
  nodeRow({ node_id: 'negative routes', routes_discovered: -(2n ** 53n - 1n) }),
  nodeRow({ node_id: 'routes as a real', routes_discovered: 12 }),
  nodeRow({ node_id: 'halves in the JSON', interfaces: String.raw`["\ud800", "\udc00\ud800", "\u0000"]` }),
  nodeRow({ node_id: 'blanks in the JSON', interfaces: ' [ ]\n', protocols: '\t["a" ,\r"a", ""]' }),
  nodeRow({ node_id: 'ü'.repeat(255) }),
  nodeRow({ node_id: '\u{1f600}'.repeat(255) }),
  nodeRow({ node_id: ' ' }),
  nodeRow({ node_id: 'fe80::1%eth0' }),
  nodeRow({ node_id: "'; DROP TABLE nodes; --" }),
  nodeRow({ node_id: 'a id in bytes', protocols: new Bytes(0x5b, 0x22, 0xc3, 0xbc, 0x22, 0x5d) }),
  nodeRow({ node_id: 'gaps', rowid: 1_000_000n }),
  nodeRow({ node_id: 'row 0', rowid: 0n }),
  nodeRow({ node_id: 'negative row', rowid: -7n }),
  nodeRow({ node_id: 'first row of all', rowid: SMALLEST_ROWID }),
  nodeRow({ node_id: 'last row of all', rowid: 2n ** 63n - 1n }),
  policyRow({ policy_id: 'empty', yaml_content: '', rules_count: 0n }),
  policyRow({ policy_id: 'no YAML at all', yaml_content: '\t{[: %' }),
  policyRow({ policy_id: 'with NUL', yaml_content: 'a\0b' }),
  policyRow({ policy_id: 'large', yaml_content: `# ${'x'.repeat(2_000_000)}` }),
  policyRow({ policy_id: 'negative', rules_count: -3n, rowid: -1n }),
  pathRow({ source: 'k-1', k: 1n }),
  pathRow({ source: 'k-1000', k: 1_000n }),
  pathRow({ source: 'empty bundle', bundle_json: '{}' }),
  pathRow({ source: 'odd bundle', bundle_json: '{"primary": null, "a": {"b": [1e400]}, "a": 2}' }),
  pathRow({ source: 'halves', bundle_json: String.raw`{"\ud800": "\udfff"}`, rowid: -40n }),
]

const NORMALISED = ['started only', 'routes only', 'both']
const withNull: readonly Row[] = [
  nodeRow({ node_id: 'started only', started: null }),
  nodeRow({ node_id: 'routes only', routes_discovered: null }),
  nodeRow({ node_id: 'both', started: null, routes_discovered: null }),
]

/** Before the last rowid of all is taken: the next one would be chosen at random. */
const inOrder = [...withNull, ...rows]

test.each([DDL, INTEGER_DDL])('odd rows are kept as they are, NULL apart, which becomes 0: %#', async (sql) => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), inOrder, { sql })
  const before = contentOf(path)
  const { adoption, quarantine } = await up(path, { quarantine: folder.file('rows.ndjson') })
  expect(quarantine).toBeUndefined()
  expect(adoption?.problems).toEqual([])
  expect(adoption?.tables.map(({ table, kept, normalised, dropped }) => [table, kept, normalised, dropped])).toEqual([
    ['nodes', before.nodes.length, NORMALISED.length, 0],
    ['policies', before.policies.length, 0, 0],
    ['path_cache', before.path_cache.length, 0, 0],
  ])
  const zeros = before.nodes.map(({ rowid, cells }) => ({
    rowid,
    cells: cells.map((cell) => (cell === 'null null' ? 'integer 0' : cell)),
  }))
  expect(contentOf(path)).toEqual({ ...before, nodes: zeros })
})

test('every one of them can be read', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), inOrder)
  const before = contentOf(path)
  await using store = await openStorage({ url: path, now: () => new Date(-MAX_TIME * 1000) })
  const ids = before.nodes.map(({ cells }) => Buffer.from(cells[0]?.split(' ')[1] ?? '', 'hex').toString())
  for (const id of ids) expect(await store.nodes.get(id)).toMatchObject({ nodeId: id })
  for (const id of NORMALISED) {
    const [started, routes] = [id === 'routes only', id === 'started only' ? 7 : 0]
    expect(await store.nodes.get(id)).toMatchObject({ started, routesDiscovered: routes })
  }
  expect(await all(store.nodes.iterate())).toHaveLength(ids.length)
  for await (const { policyId } of store.policies.iterate()) expect(await store.policies.get(policyId)).toBeDefined()
  // The clock stands where nothing has expired but what expired then.
  const paths = await all(store.pathCache.iterate())
  expect(paths).toHaveLength(before.path_cache.length - 1)
  for (const { source, destination, k } of paths)
    expect(await store.pathCache.getEntry({ source, destination, k })).toBeDefined()
  expect(await store.nodes.get('halves in the JSON')).toMatchObject({ interfaces: ['\ud800', '\udc00\ud800', '\0'] })
  expect(await store.nodes.get('time-7')).toMatchObject({ createdAt: new Date(1_762_300_800_123) })
})

test('NULL stays NULL in the copy', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), withNull)
  const before = contentOf(path)
  const { backup = '' } = await up(path)
  expect(contentOf(backup)).toEqual(before)
})
