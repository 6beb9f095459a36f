import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { openStorage } from '../../../src/index.ts'
import type { Backend, OpenStore } from '../../support/backends.ts'
import { Clock } from '../../support/clock.ts'
import { contentHash, dump } from '../../support/content.ts'
import { expectCode } from '../../support/expectations.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { foreignFile } from '../../support/other-program.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../support/samples.ts'
import { reads, writes } from '../calls.ts'

async function fill({ store }: OpenStore): Promise<void> {
  await store.nodes.createMany(manyNodes(300))
  await store.nodes.update('n-0007', { started: true })
  await store.policies.create(policy('p'))
  await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 3_600 })
}

export function opening(backend: Backend): void {
  test('an empty store says what it is', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const stats = await store.stats()
    expect(stats).toMatchObject({ rows: { nodes: 0, policies: 0, pathCache: 0 }, expiredPaths: 0, queuedWrites: 0 })
    expect(stats.bytes).toBeGreaterThan(0)
    expect(stats.schemaVersion).toMatch(/^\d{4}_\w+$/)
    const health = await store.health()
    expect(health).toMatchObject({ canRead: true, canWrite: true, lastBackup: undefined, problems: [] })
    expect(health.readMs).toBeGreaterThanOrEqual(0)
    expect(health.writeMs).toBeGreaterThanOrEqual(0)
  })

  test('stats counts the rows, and the cached paths that have expired', async () => {
    const clock = new Clock()
    await using opened = await backend.open({ now: clock.now })
    await fill(opened)
    await opened.store.pathCache.set(pathKey('b', 'a'), bundle('b', 'a'), { ttlSeconds: 1 })
    clock.advance(1_000)
    const stats = await opened.store.stats()
    expect(stats).toMatchObject({ rows: { nodes: 300, policies: 1, pathCache: 2 }, expiredPaths: 1, queuedWrites: 0 })
  })

  test('two stores that are opened for themselves have nothing in common', async () => {
    await using first = await backend.open()
    await using second = await backend.open()
    await first.store.nodes.create(node('a'))
    expect(await second.store.nodes.count()).toBe(0)
  })

  if (!backend.has.reopens) return

  test('what was written is there when it is opened again', async () => {
    const clock = new Clock()
    await using opened = await backend.open({ now: clock.now })
    await fill(opened)
    const before = await dump(opened.store)
    expect(await dump(await opened.reopen())).toEqual(before)
    const { store } = opened
    await expectCode(store.nodes.count(), 'CLOSED')
  })

  test('an entry of the cache expires while nobody has it open', async () => {
    const clock = new Clock()
    await using opened = await backend.open({ now: clock.now })
    await opened.store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 10 })
    clock.advance(9_999)
    expect(await (await opened.reopen()).pathCache.count()).toBe(1)
    clock.advance(1)
    expect(await (await opened.reopen()).pathCache.get(pathKey('a', 'b'))).toBeUndefined()
  })

  test('stores that have the same database open see what the other one wrote', async () => {
    await using opened = await backend.open()
    const second = await opened.openAgain()
    await opened.store.nodes.create(node('a'))
    expect(await second.nodes.get('a')).toMatchObject(node('a'))
    await Promise.all(
      Array.from({ length: 40 }, (_, turn) => (turn % 2 ? second : opened.store).nodes.recordRoutes('a')),
    )
    expect((await opened.store.nodes.get('a'))?.routesDiscovered).toBe(40)
    await expectCode(second.nodes.create(node('a')), 'ALREADY_EXISTS')
    await opened.store.close()
    expect(await second.nodes.count()).toBe(1)
  })

  test.each(['apply', 'check', 'skip'] as const)(
    "a database that is up to date is opened by migrate: '%s'",
    async (migrate) => {
      await using opened = await backend.open()
      await fill(opened)
      const before = await contentHash(opened)
      const store = await opened.reopen({ migrate })
      expect(await contentHash(opened)).toBe(before)
      await store.nodes.create(node('a'))
    },
  )

  test('a read-only store reads, and refuses every write with READ_ONLY', async () => {
    await using opened = await backend.open()
    await fill(opened)
    await opened.store.nodes.create(node('a'))
    await opened.store.policies.create(policy('a'))
    const before = await contentHash(opened)
    const store = await opened.reopen({ readOnly: true })
    for (const [, read] of reads) await read(store)
    for (const [, write] of writes) await expectCode(write(store), 'READ_ONLY')
    await expectCode(
      store.transaction(async () => 'reached'),
      'READ_ONLY',
    )
    expect(await store.transaction((tx) => tx.nodes.count(), { readOnly: true })).toBe(301)
    expect((await store.stats()).rows).toEqual({ nodes: 301, policies: 2, pathCache: 1 })
    expect(await store.health()).toMatchObject({ canRead: true, canWrite: false, problems: [] })
    expect(await contentHash(opened)).toBe(before)
  })

  test('a read-only store sees what others write', async () => {
    await using opened = await backend.open()
    const reader = await opened.openAgain({ readOnly: true })
    await opened.store.nodes.create(node('a'))
    expect(await reader.nodes.count()).toBe(1)
  })
}

const hashOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

/** Where the database is a file: bytes are looked at while nobody has it open. */
export function openingFiles(backend: Backend): void {
  if (!backend.has.file) return

  const closedFile = async (opened: OpenStore): Promise<string> => {
    await opened.store.close()
    if (opened.path === undefined) throw new Error('This backend has no file.')
    return opened.path
  }

  test.each([{}, { migrate: 'check' }, { migrate: 'skip' }, { durability: 'normal' }, { readOnly: true }] as const)(
    'opening an existing file with %j changes nothing in it',
    async (options) => {
      await using opened = await backend.open()
      await fill(opened)
      const path = await closedFile(opened)
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
    await using opened = await backend.open()
    await fill(opened)
    await opened.store.transaction((tx) => tx.nodes.count(), { readOnly: true })
    const path = await closedFile(opened)
    expect(readdirSync(dirname(path))).toEqual(['mesh.db'])
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
}
