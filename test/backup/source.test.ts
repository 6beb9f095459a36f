/** A backup reads its source: damage is found, and rows that break a rule are kept as they are. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { foreignFile, sqliteProgram } from '../support/other-program.ts'
import { assertProperty } from '../support/properties.ts'
import { contentOf, database, manifestOf, namesIn } from './support/files.ts'

test('a file that was damaged while nobody had it open is found out, and nothing is left', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('data', 'mesh.db'), 2_000)
  const sound = readFileSync(path)
  mkdirSync(folder.file('backups'))
  const pages = sound.length / 4_096
  const found: Record<string, number> = {}
  for (let turn = 0; turn < 12; turn++) {
    const bytes = Buffer.from(sound)
    // A page of noise where no schema is.
    const page = 20 + Math.floor((turn * (pages - 21)) / 12)
    for (let at = page * 4_096; at < (page + 1) * 4_096; at++) bytes[at] = (at * 2_654_435_761) >>> 24
    writeFileSync(path, bytes)
    await using store = await openStorage({ url: path, readOnly: turn % 2 === 0 })
    const { code } = await expectCode(store.backup(folder.file('backups', 'mesh.backup')), 'CORRUPT')
    found[code] = (found[code] ?? 0) + 1
    expect(namesIn(folder.file('backups'))).toEqual([])
  }
  expect(found).toEqual({ CORRUPT: 12 })
})

/** The client's tables, and rows that no rule allows. */
const FOREIGN = `
  CREATE TABLE nodes (node_id TEXT PRIMARY KEY, interfaces TEXT NOT NULL, protocols TEXT NOT NULL,
    started BOOLEAN DEFAULT 0, routes_discovered INTEGER DEFAULT 0, created_at REAL NOT NULL, updated_at REAL NOT NULL);
  CREATE TABLE policies (policy_id TEXT PRIMARY KEY, yaml_content TEXT NOT NULL, rules_count INTEGER NOT NULL,
    created_at REAL NOT NULL, updated_at REAL NOT NULL);
  CREATE TABLE path_cache (cache_key TEXT PRIMARY KEY, source TEXT NOT NULL, destination TEXT NOT NULL,
    k INTEGER NOT NULL, bundle_json TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL);
  INSERT INTO nodes VALUES (NULL, 'no list', x'00ff', 'yes', 9007199254740993, 'yesterday', x'01'),
    (NULL, '', '', NULL, NULL, 9e999, -9e999), (x'6e', '[1, 2]', '{', 2, 1.5, 0, 1e-300), ('a' || char(0) || 'b', '[]', '[]', 0, 0, 1, 1);
  INSERT INTO policies VALUES ('', x'', 'many', '', ''), (NULL, CAST(x'ff80' AS TEXT), -1, 1, 1);
  INSERT INTO path_cache VALUES (NULL, '', '', 'k', 'no json', 1, 2), (1, 2, 3, x'04', 5, 6, 7);
  CREATE TABLE "of ""theirs""" (a, b); INSERT INTO "of ""theirs""" VALUES (zeroblob(5000), 7);
  CREATE VIEW seen AS SELECT * FROM nodes; CREATE INDEX "by started" ON nodes (started);`

test('rows of another program that break every rule are kept as they are, and verified', async () => {
  using folder = temporaryFolder()
  const path = foreignFile(folder.file('theirs.db'), FOREIGN)
  const before = contentOf(path)
  await using store = await openStorage({ url: path, migrate: 'skip' })
  const manifest = await store.backup(folder.file('mesh.backup'))
  expect(manifest).toMatchObject({
    schemaVersion: 'none',
    tables: { nodes: { rows: 4 }, policies: { rows: 2 }, pathCache: { rows: 2 } },
  })
  expect(await verifyBackup(manifest.file)).toEqual(manifest)
  await restoreBackup(manifest.file, folder.file('restored.db'), { migrate: false })
  expect(contentOf(folder.file('restored.db'))).toBe(before)
  const raw = new Sqlite(folder.file('restored.db'))
  expect(raw.prepare('SELECT length(a) FROM "of ""theirs"""').pluck().get()).toBe(5_000)
  raw.close()
  // It cannot be adopted as it is: restored it is all the same, and the error says so.
  const error = await expectCode(restoreBackup(manifest.file, folder.file('adopted.db')), 'SCHEMA_MISMATCH')
  expect(error.message).toMatch(/^It was restored, and could not be brought up to date/)
  expect(contentOf(folder.file('adopted.db'))).toBe(before)
})

test('a row that was written past the checks of our own tables is kept as it is', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('mesh.db'))
  await sqliteProgram(path).corrupt('nodes', 'n-0003', { created_at: 'text', interfaces: Buffer.from('x'), started: 7 })
  await using store = await openStorage(path)
  const { file } = await store.backup(folder.file('mesh.backup'))
  await verifyBackup(file)
  await restoreBackup(file, folder.file('restored.db'))
  expect(contentOf(folder.file('restored.db'))).toBe(contentOf(path))
})

test('a database of others is kept as a copy, whatever is in its tables', async () => {
  using folder = temporaryFolder()
  const { file } = await (async () => {
    await using store = await openStorage(await database(folder.file('source', 'mesh.db')))
    return await store.backup(folder.file('mesh.backup'))
  })()
  const path = foreignFile(
    folder.file('mesh.db'),
    'CREATE TABLE nodes (x); INSERT INTO nodes VALUES (1); CREATE VIEW policies AS SELECT 1',
  )
  const { safetyCopy = '' } = await restoreBackup(file, path, { replace: true })
  const copy = new Sqlite(safetyCopy)
  expect(copy.prepare('SELECT x FROM nodes').pluck().all()).toEqual([1])
  copy.close()
})

test('of any content, what is restored is equal to the bit, and so are the hashes', async () => {
  const text = fc.string({ unit: 'binary', maxLength: 20 }).map((value) => value.replaceAll('\0', '').toWellFormed())
  const time = fc.double({ min: 0, max: 253_402_300_799, noNaN: true })
  const node = fc.tuple(text, fc.array(text, { maxLength: 3 }), fc.boolean(), fc.integer({ min: 0 }), time, time)
  const policy = fc.tuple(text, text, time)
  const contents = fc.record({
    nodes: fc.uniqueArray(node, { maxLength: 30, selector: ([id]) => id }),
    policies: fc.uniqueArray(policy, { maxLength: 10, selector: ([id]) => id }),
  })
  const property = fc.asyncProperty(contents, async ({ nodes, policies }) => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    const raw = new Sqlite(path)
    const asList = (items: readonly string[]): string => JSON.stringify(items)
    for (const [id, list, started, routes, created, updated] of nodes)
      raw
        .prepare('INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?)')
        .run(id, asList(list), '[]', Number(started), BigInt(routes), created, updated)
    for (const [id, yaml, at] of policies)
      raw.prepare('INSERT INTO policies VALUES (?, ?, 0, ?, ?)').run(id, yaml, at, at)
    raw.close()
    const manifest = await store.backup(folder.file('mesh.backup'))
    expect(manifest.tables).toMatchObject({ nodes: { rows: nodes.length }, policies: { rows: policies.length } })
    await restoreBackup(manifest.file, folder.file('restored.db'))
    expect(contentOf(folder.file('restored.db'))).toBe(contentOf(path))
    await using restored = await openStorage(folder.file('restored.db'))
    expect((await restored.backup(folder.file('again.backup'))).tables).toEqual(manifest.tables)
    expect(readFileSync(manifestOf(manifest.file), 'utf8')).toContain(manifest.tables.nodes.sha256)
  })
  await assertProperty('round trip', property, { runs: 5 })
})
