/** A file in use is not replaced: the call rejects with BUSY, and the file's users go on and lose nothing. */
import { mkdirSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { openStorage, restoreBackup } from '../../src/index.ts'
import { previewRestore } from '../../src/restore/restore.ts'
import { Script } from '../sqlite/support/script.ts'
import { outcomes, tally } from '../sqlite/support/settled.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import type { Order } from './programs/neighbour.ts'
import { backupOf, bytesIn, contentOf, database, idsOf, namesIn, SAFETY_COPY } from './support/files.ts'

const neighbour = await Script.bundle(new URL('programs/neighbour.ts', import.meta.url))
const FILES = ['mesh.db', 'mesh.db-shm', 'mesh.db-wal']

test('by this process, whether it writes or not', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new')
  const path = folder.file('data', 'mesh.db')
  await using store = await openStorage(path)
  await store.nodes.create(node('mine'))
  await expectCode(previewRestore(file, path), 'BUSY')
  const error = await expectCode(restoreBackup(file, path, { replace: true }), 'BUSY')
  expect(error.message).toMatch(/in use/)
  expect(namesIn(folder.file('data'))).toEqual(FILES)
  let refused = 0
  const restoring = (async () => {
    for (; refused < 5; refused++) await expectCode(restoreBackup(file, path, { replace: true }), 'BUSY')
  })()
  let created = 0
  for (; refused < 5; created++) await store.nodes.create(node(`mine-${created}`))
  await restoring
  expect(await store.nodes.count()).toBe(created + 1)
  expect(namesIn(folder.file('data'))).toEqual(FILES)
})

test('by another process that does nothing, that writes, and not any more', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new')
  const path = folder.file('data', 'mesh.db')
  await using program = neighbour.start()
  const ask = <T>(order: Order): Promise<T> => program.ask<T>(order)
  expect(await ask({ do: 'open', path })).toBe('open')
  await expectCode(previewRestore(file, path), 'BUSY')
  await expectCode(restoreBackup(file, path, { replace: true }), 'BUSY')
  await ask({ do: 'write' })
  for (let turn = 0; turn < 5; turn++) await expectCode(restoreBackup(file, path, { replace: true }), 'BUSY')
  const acknowledged = await ask<string[]>({ do: 'stop' })
  expect(acknowledged.length).toBeGreaterThan(3)
  expect(namesIn(folder.file('data'))).toEqual(FILES)
  await ask({ do: 'close' })
  const { safetyCopy = '' } = await restoreBackup(file, path, { replace: true })
  await using copy = await openStorage(safetyCopy)
  expect(new Set(await idsOf(copy))).toEqual(new Set(acknowledged))
})

describe('by another program, which holds', () => {
  const holds: Record<string, string> = {
    'a transaction that writes, with a log': 'PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; DELETE FROM nodes',
    'a transaction that reads, with a log': 'PRAGMA journal_mode = WAL; BEGIN; SELECT count(*) FROM nodes',
    'a transaction that writes, without a log': 'PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE; DELETE FROM nodes',
    'a transaction that reads, without a log': 'PRAGMA journal_mode = DELETE; BEGIN; SELECT count(*) FROM nodes',
    'the whole file': 'PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE',
  }
  test.each(Object.entries(holds))('%s', async (_, sql) => {
    using folder = temporaryFolder()
    const { file } = await backupOf(folder, 'new')
    const path = await database(folder.file('data', 'mesh.db'), 20, 'old')
    const old = contentOf(path)
    await using program = neighbour.start()
    await program.ask({ do: 'sql', path, sql } satisfies Order)
    await expectCode(previewRestore(file, path), 'BUSY')
    await expectCode(restoreBackup(file, path, { replace: true }), 'BUSY')
    expect(namesIn(folder.file('data')).filter((name) => name.includes('before'))).toEqual([])
    await program.kill()
    expect(contentOf(path)).toBe(old)
    const before = bytesIn(folder.file('data'))
    expect(await previewRestore(file, path)).toMatchObject({ target: path, replaces: true })
    expect(bytesIn(folder.file('data'))).toEqual(before)
    await restoreBackup(file, path, { replace: true })
  })
})

test('by an application that begins while the backup is being verified, where nothing was before', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new')
  const path = folder.file('data', 'mesh.db')
  const restoring = restoreBackup(file, path)
  await using store = await openStorage(path)
  await store.nodes.create(node('mine'))
  await expectCode(restoring, 'CONFIG')
  expect(await idsOf(store)).toEqual(['mine'])
  expect(namesIn(folder.file('data'))).toEqual(FILES)
})

test('by one that writes between the copy and the overwriting', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new')
  const path = await database(folder.file('data', 'mesh.db'), 20, 'old')
  const backup = Sqlite.prototype.backup
  let written = 0
  Sqlite.prototype.backup = function (this: Sqlite.Database, target, options) {
    if (target === path) {
      const raw = new Sqlite(path)
      written += raw.prepare("DELETE FROM nodes WHERE node_id = 'old-0003'").run().changes
      raw.close()
    }
    return options === undefined ? backup.call(this, target) : backup.call(this, target, options)
  }
  try {
    await expectCode(restoreBackup(file, path, { replace: true }), 'BUSY')
  } finally {
    Sqlite.prototype.backup = backup
  }
  expect(written).toBe(1)
  expect(namesIn(folder.file('data'))).toEqual(['mesh.db'])
  await using store = await openStorage(path)
  expect(await store.nodes.count()).toBe(19)
})

describe('two restores at once:', () => {
  test('of one place where nothing is, one is done', async () => {
    using folder = temporaryFolder()
    const { file } = await backupOf(folder, 'new')
    const path = folder.file('data', 'mesh.db')
    const restores = Array.from({ length: 4 }, () => restoreBackup(file, path))
    expect(tally(await outcomes(restores))).toEqual({ done: 1, CONFIG: 3 })
    expect(namesIn(folder.file('data'))).toEqual(['mesh.db'])
  })

  test('of processes that replace, each is done or BUSY, and the end is whole', async () => {
    using folder = temporaryFolder()
    const { file } = await backupOf(folder, 'new', 1_000)
    const path = await database(folder.file('data', 'mesh.db'), 1_000, 'old')
    const old = contentOf(path)
    const order: Order = { do: 'restore', file, path }
    await using one = neighbour.start()
    await using two = neighbour.start()
    mkdirSync(folder.file('again'))
    const codes = await Promise.all([one.ask<string>(order), two.ask<string>(order), one.ask<string>(order)])
    expect(codes).toContain('done')
    expect(codes.filter((code) => code !== 'done' && code !== 'BUSY')).toEqual([])
    await using store = await openStorage(path)
    expect(await store.nodes.count()).toBe(1_000)
    const copies = namesIn(folder.file('data')).filter((name) => SAFETY_COPY.test(name))
    // Both restored the same rows: one safety copy of them is enough.
    expect(copies).toHaveLength(Math.min(2, codes.filter((code) => code === 'done').length))
    expect(contentOf(folder.file('data', copies[0] ?? ''))).toBe(old)
  })
})
