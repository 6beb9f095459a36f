/** Whatever is stored comes back as it was: times to the last bit, texts to the last byte. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { lastingBackends } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { contentHash } from '../support/content.ts'
import { temporaryFolder } from '../support/folders.ts'
import { type Row, sqliteProgram, type Table } from '../support/other-program.ts'
import { assertProperty } from '../support/properties.ts'
import { exported, fileOf, imported, nodeLine, pathLine } from './support/transferred.ts'

const MOST = 253_402_300_799
const time = fc.oneof(
  fc.double({ min: -MOST, max: MOST, noNaN: true }),
  fc.constantFrom(0, 5e-324, -5e-324, 2 ** -1_022, MOST, -MOST, 0.1 + 0.2, 1_700_000_000.123_456_7),
)
const text = (maxLength: number) =>
  fc.string({ unit: 'binary', maxLength }).map((each) => each.replaceAll('\0', '\ufffd'))
const id = text(40).filter((each) => each !== '')
const list = fc.array(id, { maxLength: 4 }).map((items) => JSON.stringify(items).replaceAll('","', '", "'))
const integer = fc.integer({ min: -2_147_483_648, max: 2_147_483_647 })
const bundle = fc
  .tuple(fc.jsonValue({ maxDepth: 3 }), id, fc.constantFrom(0, 1, 4), fc.constantFrom('', ' ', '\r\n\t'), fc.nat(3))
  .map(([extra, end, indent, around, size]) => {
    const value = { source: end, destination: end, primary: [{ nodes: [end] }], extra, pad: 'ä"\\'.repeat(40 ** size) }
    return `${around}${JSON.stringify(value, null, indent)}${around}`
  })

const node = fc.record({
  node_id: id,
  interfaces: list,
  protocols: list,
  started: fc.constantFrom(0, 1),
  routes_discovered: integer,
  created_at: time,
  updated_at: time,
})
const policy = fc.record({
  policy_id: id,
  yaml_content: text(200),
  rules_count: integer,
  created_at: time,
  updated_at: time,
})
const path = fc.record({
  source: id,
  destination: id,
  k: fc.integer({ min: 1, max: 1_000 }),
  bundle_json: bundle,
  created_at: time,
  expires_at: time,
})
const rows = {
  nodes: fc.uniqueArray(node, { selector: ({ node_id }) => node_id, maxLength: 5 }),
  policies: fc.uniqueArray(policy, { selector: ({ policy_id }) => policy_id, maxLength: 5 }),
  path_cache: fc
    .array(path, { maxLength: 3 })
    .map((paths) => paths.map((each) => ({ cache_key: keyOf(each), ...each })))
    .map((paths) => [...new Map(paths.map((each) => [each.cache_key, each])).values()]),
}

const escaped = (each: string): string => each.replaceAll('%', '%25').replaceAll(':', '%3A')
const keyOf = (of: { source: string; destination: string; k: number }): string =>
  `${escaped(of.source)}:${escaped(of.destination)}:${of.k}`

describe.each(lastingBackends)('from SQLite, through $name, and back', (backend) => {
  test('any rows', async () => {
    // It would delete rows that have expired between import and export.
    await using middle = await backend.open({ pathCache: { sweepSeconds: 86_400 } })
    const property = fc.asyncProperty(fc.record(rows), async (tables) => {
      using folder = temporaryFolder()
      for (const table of ['nodes', 'policies', 'path_cache']) await middle.other.execute(`DELETE FROM ${table}`)
      const [first, last] = [folder.file('first.db'), folder.file('last.db')]
      await (await openStorage(first)).close()
      await fill(first, tables)

      const before = await exported(first)
      expect(before.rows).toHaveLength(Object.values(tables).flat().length)
      expect(await imported(middle.url, before.text)).toMatchObject({ refused: [] })
      const between = await exported(middle.url)
      expect(between.text).toBe(before.text)
      expect(await imported(last, between.text, { pieces: 997 })).toMatchObject({ refused: [] })
      expect((await exported(last)).text).toBe(before.text)
      for (const table of ['policies', 'path_cache'] as const)
        expect(await sqliteProgram(last).rows(table)).toEqual(await sqliteProgram(first).rows(table))
      // How a list is spaced is not kept.
      const compact = (each: Row): Row => ({ ...each, interfaces: reprinted(each), protocols: null })
      const [firstNodes, lastNodes] = [
        await sqliteProgram(first).rows('nodes'),
        await sqliteProgram(last).rows('nodes'),
      ]
      expect(lastNodes.map(compact)).toEqual(firstNodes.map(compact))
    })
    await assertProperty(`round trip through ${backend.name}`, property, {
      runs: bound('RUNS', { brief: 15, short: 120, long: 2_000 }),
    })
  })

  test('onto itself, to the last bit', async () => {
    await using opened = await backend.open()
    await opened.store.nodes.create({ nodeId: 'a', interfaces: ['eth0'], protocols: [] })
    await imported(opened.url, fileOf([nodeLine('b', { created_at: 0.1 + 0.2 }), pathLine('a')]))
    const before = await contentHash(opened)
    const { text } = await exported(opened.url)
    const { report } = await imported(opened.url, text, { onConflict: 'replace' })
    expect(report.rows).toMatchObject({ nodes: { replaced: 2 }, path_cache: { replaced: 1 } })
    expect(await contentHash(opened)).toBe(before)
  })

  test('what has expired, and a policy that is no YAML', async () => {
    await using opened = await backend.open()
    const policy = { policy_id: 'p', yaml_content: 'a: [not closed', rules_count: 7, created_at: 1, updated_at: 2 }
    await opened.other.insert('policies', policy)
    const { text } = await exported(opened.url)
    expect(await imported(opened.url, text, { onConflict: 'replace' })).toMatchObject({ refused: [] })
    const expired = fileOf([pathLine('old', { expires_at: 1 })])
    await imported(opened.url, expired)
    expect((await exported(opened.url)).rows).toHaveLength(2)
  })
})

for (const backend of lastingBackends.filter(({ looseTypes }) => !looseTypes)) {
  // SQLite stores it as 0.
  test(`the sign of zero, on ${backend.name}`, async () => {
    await using opened = await backend.open()
    await imported(opened.url, fileOf([nodeLine('a'), nodeLine('b')]).replace('1700000001', '-0'))
    expect((await exported(opened.url)).rows[0]).toContain('"updated_at":-0}')
    const [row] = await opened.other.rows('nodes')
    expect(row?.updated_at).toBe(-0)
  })
}

const reprinted = ({ interfaces, protocols }: Row): string =>
  JSON.stringify([JSON.parse(String(interfaces)), JSON.parse(String(protocols))])

async function fill(path: string, tables: Readonly<Record<Table, readonly Row[]>>): Promise<void> {
  const program = sqliteProgram(path)
  for (const [table, of] of Object.entries(tables)) for (const row of of) await program.insert(table as Table, row)
}
