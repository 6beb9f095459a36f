/** How a file is opened, and which are refused: bytes are looked at while nobody has it open. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { fill } from '../conformance/lifecycle/opening.ts'
import { sqliteFile } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { foreignFile } from '../support/other-program.ts'
import { node } from '../support/samples.ts'

const hashOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

test.each([{}, { migrate: 'check' }, { migrate: 'skip' }, { durability: 'normal' }, { readOnly: true }] as const)(
  'opening an existing file with %j changes nothing in it',
  async (options) => {
    await using opened = await sqliteFile.open()
    await fill(opened)
    await opened.store.close()
    const { path } = opened
    const bytes = hashOf(path)
    const { mode, size } = statSync(path)
    for (let turn = 0; turn < 3; turn++) {
      await using store = await openStorage({ url: opened.url, ...options })
      expect(await store.nodes.count()).toBe(300)
    }
    expect(hashOf(path)).toBe(bytes)
    expect(statSync(path)).toMatchObject({ mode, size })
  },
)

test('a closed store leaves one file', async () => {
  await using opened = await sqliteFile.open()
  await fill(opened)
  await opened.store.transaction((tx) => tx.nodes.count(), { readOnly: true })
  await opened.store.close()
  expect(readdirSync(dirname(opened.path))).toEqual(['mesh.db'])
})

test("migrate: 'check' refuses a file to which something is missing, and leaves it as it is", async () => {
  using folder = temporaryFolder()
  const path = foreignFile(folder.file('old.db'), 'CREATE TABLE mine (a); INSERT INTO mine VALUES (1)')
  const bytes = hashOf(path)
  await expectCode(openStorage({ url: path, migrate: 'check' }), 'SCHEMA_MISMATCH')
  expect(hashOf(path)).toBe(bytes)
  await expectCode(openStorage({ url: path, readOnly: true }), 'SCHEMA_MISMATCH')
  expect(hashOf(path)).toBe(bytes)
  await using store = await openStorage(path)
  expect(await store.nodes.count()).toBe(0)
})

test("migrate: 'check' makes neither a file nor a folder that is missing", async () => {
  using folder = temporaryFolder()
  for (const name of ['missing.db', 'missing/folder/mesh.db'])
    await expectCode(openStorage({ url: folder.file(name), migrate: 'check' }), 'CONFIG')
  expect(readdirSync(folder.path)).toEqual([])
})

test("migrate: 'skip' looks at nothing: what needs a table that is not there is SCHEMA_MISMATCH", async () => {
  using folder = temporaryFolder()
  await using store = await openStorage({ url: folder.file('new.db'), migrate: 'skip' })
  await expectCode(store.nodes.get('a'), 'SCHEMA_MISMATCH')
  await expectCode(store.nodes.list(), 'SCHEMA_MISMATCH')
  await expectCode(store.nodes.create(node('a')), 'SCHEMA_MISMATCH')
  await store.transaction((tx) => expectCode(tx.policies.count(), 'SCHEMA_MISMATCH'))
  const health = await store.health()
  expect(health.problems.map(({ code }) => code)).toEqual(['SCHEMA_MISMATCH', 'SCHEMA_MISMATCH'])
})

test.each(['nodes', 'policies', 'path_cache'])(
  'a file with a table %s of another program is refused, and left as it is',
  async (table) => {
    using folder = temporaryFolder()
    const sql = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO ${table} VALUES (1, 'a')`
    const path = foreignFile(folder.file('theirs.db'), sql)
    const bytes = hashOf(path)
    for (const migrate of ['apply', 'check'] as const) {
      await expectCode(openStorage({ url: path, migrate }), 'SCHEMA_MISMATCH')
      expect(hashOf(path)).toBe(bytes)
    }
    expect(readdirSync(folder.path)).toEqual(['theirs.db'])
  },
)

test('a file that is no database is refused as CORRUPT, and left as it is', async () => {
  using folder = temporaryFolder()
  const path = folder.write('notes.txt', 'These are notes, and no database. '.repeat(100))
  const bytes = hashOf(path)
  await expectCode(openStorage(path), 'CORRUPT')
  await expectCode(openStorage({ url: path, readOnly: true }), 'CORRUPT')
  expect(hashOf(path)).toBe(bytes)
  expect(readdirSync(folder.path)).toEqual(['notes.txt'])
})

test('an empty file becomes a database', async () => {
  using folder = temporaryFolder()
  await using store = await openStorage(folder.write('empty.db', ''))
  await store.nodes.create(node('a'))
})

test('a symbolic link is followed: both names are the same database', async () => {
  using folder = temporaryFolder()
  await using first = await openStorage(folder.file('mesh.db'))
  await first.nodes.create(node('a'))
  await using second = await openStorage(folder.link('link.db', 'mesh.db'))
  await second.nodes.create(node('b'))
  expect(await first.nodes.count()).toBe(2)
  expect(readdirSync(folder.path).filter((name) => name.startsWith('link'))).toEqual(['link.db'])
})

test('a path that is too long is refused as CONFIG', async () => {
  using folder = temporaryFolder()
  for (const path of [folder.file('x'.repeat(300)), folder.file(...Array(3_000).fill('a'), 'mesh.db')])
    await expectCode(openStorage(path), 'CONFIG')
})

test('read-only on a read-only file system it is said what is missing', async ({ skip }) => {
  using folder = temporaryFolder()
  await (await openStorage(folder.file('mesh.db'))).close()
  const open = `import('${import.meta.dirname}/../../src/index.ts')
    .then(({ openStorage }) => openStorage({ url: '${folder.file('mesh.db')}', readOnly: true }))
    .then(() => console.log('opened'), ({ code, message }) => console.log(code + ': ' + message))`
  const mount = `mount --bind ${folder.path} ${folder.path} && mount -o remount,bind,ro ${folder.path} || exit 77
    exec "$0" --no-warnings -e "$1"`
  const { status, stdout } = spawnSync('unshare', ['-m', 'sh', '-c', mount, process.execPath, open], {
    encoding: 'utf8',
  })
  if (status !== 0) {
    console.log('NOT TESTED: a read-only file system (needs root and unshare).')
    skip()
  }
  expect(stdout).toMatch(/^CONFIG: .*mesh\.db-wal/)
})
