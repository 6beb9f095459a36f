/** Whole files of the application's are taken over: every row to the last bit, and the application goes on. */
import { readdirSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { adopt, inspect, up } from '../../src/open/migrate.ts'
import { all, expectCode, IDS_BY_BYTES } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { TAGS } from '../support/tags.ts'
import type { Row } from './support/cells.ts'
import { clients, contentOf, makeFile, reading } from './support/client.ts'
import {
  DDL,
  INTEGER_DDL,
  LATER,
  NODES,
  NOW,
  nodeRow,
  PATH_CACHE,
  POLICIES,
  pathRow,
  policyRow,
} from './support/ddl.ts'
import { changingNothing } from './support/unchanged.ts'

const NODE_COUNT = 5_000
const POLICY_COUNT = 700
const PATH_COUNT = 1_800

function manyRows(): Row[] {
  const rows: Row[] = []
  for (let index = 0; index < NODE_COUNT; index++) {
    const created_at = NOW + index * 0.000_001
    const more = index % 3 === 0 ? { protocols: '[]', started: 0n } : {}
    rows.push(nodeRow({ node_id: `node-${index}`, routes_discovered: BigInt(index), created_at, ...more }))
  }
  for (let index = 0; index < POLICY_COUNT; index++) rows.push(policyRow({ policy_id: `policy-${index}` }))
  for (let index = 0; index < PATH_COUNT; index++) {
    const k = BigInt(1 + (index % 1_000))
    rows.push(pathRow({ source: `node-${index}`, destination: 'gw', k, expires_at: index % 4 === 0 ? NOW : LATER }))
  }
  return rows
}

const copiesIn = (folder: string): string[] =>
  readdirSync(folder).filter((name) => name !== 'mesh.db' && !name.endsWith('.manifest.json'))
const objectsOf = (path: string): unknown[] => {
  const raw = reading(path)
  const objects = raw.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid').all()
  raw.close()
  return objects
}

const spellings = { BOOLEAN: DDL, INTEGER: INTEGER_DDL }
const cases = clients.flatMap((by) => Object.entries(spellings).map(([started, sql]) => ({ by, started, sql })))

describe.each(cases)('a file that $by.name made, with started $started', ({ by, sql }) => {
  test('is there in full after the first open, and in the copy as it was', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), manyRows(), { by, sql })
    const before = contentOf(path)
    const objects = objectsOf(path)

    const store = await openStorage(path)
    expect(await store.nodes.count()).toBe(NODE_COUNT)
    expect(await all(store.nodes.iterate())).toHaveLength(NODE_COUNT)
    expect(await store.policies.count()).toBe(POLICY_COUNT)
    expect(await store.pathCache.stats()).toMatchObject({ entries: PATH_COUNT, expired: PATH_COUNT / 4 })
    await store.close()

    expect(contentOf(path)).toEqual(before)
    const [copy = '', ...more] = copiesIn(folder.path)
    expect(more).toEqual([])
    expect(copy).toMatch(/^mesh\.db\.before-adoption-\d{8}T\d{9}Z$/)
    expect(contentOf(folder.file(copy))).toEqual(before)
    expect(objectsOf(folder.file(copy))).toEqual(objects)
    expect(statSync(folder.file(copy)).mode & 0o777).toBe(0o600)
  })

  test('is adopted once: what is opened, or taken over, again stays as it is', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow(), policyRow(), pathRow()], { by, sql })
    await (await openStorage(path)).close()
    await changingNothing(folder.path, async () => {
      for (let turn = 0; turn < 3; turn++) await (await openStorage(path)).close()
      await (await openStorage({ url: path, migrate: 'check' })).close()
      await (await openStorage({ url: path, readOnly: true })).close()
      expect(await up(path)).toEqual({ applied: [] })
      expect(await adopt(path, { quarantine: folder.file('rows.ndjson') })).toEqual({
        applied: [],
        recorded: [],
        repaired: [],
        pending: [],
      })
    })
    expect(await inspect(path)).toMatchObject({ state: 'current', drift: [], others: [] })
  })

  test('is written on by the application, by position, which reads what the library writes', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()], { by, sql })
    await using store = await openStorage(path)
    await using application = by.open(path)
    await application.insert([
      nodeRow({ node_id: 'theirs', started: true }),
      policyRow({ policy_id: 'theirs' }),
      pathRow({ source: 'theirs' }),
    ])
    expect(await store.nodes.get('theirs')).toMatchObject({ started: true, createdAt: new Date(1_762_300_800_123) })
    expect(await store.policies.get('theirs')).toMatchObject({ rulesCount: 1 })
    expect(await store.pathCache.get({ source: 'theirs', destination: 'gw-9', k: 3 })).toBeDefined()

    const createdAt = new Date('2026-02-03T04:05:06.789Z')
    await store.nodes.create(node('ours', { started: true, createdAt }))
    await store.nodes.recordRoutes('gw-1', 5)
    const found = await application.query("SELECT * FROM nodes WHERE node_id IN ('ours', 'gw-1') ORDER BY node_id")
    expect(found[0]?.slice(0, 5)).toEqual(['gw-1', '["eth0", "wlan0"]', '["batman-adv"]', 1, 12])
    const seconds = createdAt.getTime() / 1000
    expect(found[1]?.slice(0, 6)).toEqual(['ours', '["eth0","wlan0"]', '["batman-adv"]', 1, 0, seconds])
  })
})

test.each([
  ['nodes', NODES, nodeRow()],
  ['policies', POLICIES, policyRow()],
  ['path_cache', PATH_CACHE, pathRow()],
  ['nodes and policies', NODES + POLICIES, nodeRow()],
])('a file with no more than %s gets the other tables', async (_, sql, row) => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [row], { sql })
  const before = contentOf(path)
  const store = await openStorage(path)
  expect(await store.pathCache.count()).toBe(before.path_cache.length)
  await store.nodes.create(node('ours'))
  await store.policies.create({ policyId: 'ours', yamlContent: '' })
  await store.close()
  expect(contentOf(path)[row.table]).toEqual(expect.arrayContaining(before[row.table]))
  expect(await inspect(path)).toMatchObject({ state: 'current', drift: [], others: [] })
})

test('a file with empty tables is adopted', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [])
  const { adoption, applied, backup } = await up(path)
  expect(adoption?.tables).toEqual(
    ['nodes', 'policies', 'path_cache'].map((table) => ({ table, kept: 0, normalised: 0, dropped: 0, refused: 0 })),
  )
  expect(applied).toHaveLength(TAGS.length)
  expect(copiesIn(folder.path)).toEqual([basename(backup ?? '')])
})

test('the file is copied where the caller says, or nowhere', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
  const before = contentOf(path)
  expect(await up(path, { backup: folder.file('elsewhere', 'copy.db') })).toMatchObject({
    backup: folder.file('elsewhere', 'copy.db'),
  })
  expect(contentOf(folder.file('elsewhere', 'copy.db'))).toEqual(before)
  const second = await makeFile(folder.file('second.db'), [nodeRow()])
  expect((await up(second, { backup: false })).backup).toBeUndefined()
  expect(readdirSync(folder.path).sort()).toEqual(['elsewhere', 'mesh.db', 'second.db'])
})

test('an empty ledger that a failed drizzle-kit migrate left behind is no record', async () => {
  using folder = temporaryFolder()
  const ledger = 'CREATE TABLE __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric);'
  const path = await makeFile(folder.file('mesh.db'), [nodeRow()], { sql: DDL + ledger })
  const before = contentOf(path)
  await expectCode(openStorage({ url: path, migrate: 'check' }), 'SCHEMA_MISMATCH')
  await (await openStorage(path)).close()
  expect(contentOf(path)).toEqual(before)
  expect(await inspect(path)).toMatchObject({ state: 'current', drift: [] })
})

test.each(['UTF-16le', 'UTF-16be'])(
  'a file in %s, whose keys would come in another order, is refused',
  async (encoding) => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()], { sql: `PRAGMA encoding = '${encoding}';${DDL}` })
    await changingNothing(folder.path, async () => {
      expect((await expectCode(openStorage(path), 'SCHEMA_MISMATCH')).message).toContain(encoding)
      await expectCode(adopt(path, { quarantine: folder.file('rows.ndjson') }), 'SCHEMA_MISMATCH')
    })
  },
)

test('the keys come in the order of their UTF-8 bytes', async () => {
  using folder = temporaryFolder()
  const rows = IDS_BY_BYTES.toReversed().map((node_id) => nodeRow({ node_id }))
  await using store = await openStorage(await makeFile(folder.file('mesh.db'), rows))
  expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(IDS_BY_BYTES)
})

test('tables in capitals are adopted', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [nodeRow()], { sql: DDL.replace('TABLE nodes', 'TABLE NODES') })
  await using store = await openStorage(path)
  expect(await store.nodes.count()).toBe(1)
})
