/** The settings of every connection, as they are in effect. */
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import type { SqliteConnection } from '../../src/database/sqlite/connection.ts'
import { openStorage } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'
import { openInside } from './support/inside.ts'

const FULL = 2
const NORMAL = 1
const NAMES = ['journal_mode', 'synchronous', 'trusted_schema', 'cell_size_check', 'mmap_size', 'foreign_keys']

function settingsOf(raw: Sqlite.Database): Record<string, unknown> {
  return Object.fromEntries(NAMES.map((name) => [name, raw.pragma(name, { simple: true })]))
}
const settingsOfReader = ({ raw }: SqliteConnection): Record<string, unknown> => settingsOf(raw)

/** A build without memory-mapped I/O has no such setting. */
const SAFE = { trusted_schema: 0, cell_size_check: 1, mmap_size: expect.toBeOneOf([0, undefined]) }

describe.each([
  { durability: 'full', synchronous: FULL },
  { durability: 'normal', synchronous: NORMAL },
] as const)('with durability $durability', ({ durability, synchronous }) => {
  const WRITER = { ...SAFE, journal_mode: 'wal', synchronous, foreign_keys: 1 }

  test('the connection that writes has its settings, of a new file and of one that is opened again', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    for (let opening = 0; opening < 3; opening++) {
      await using inside = await openInside(path, { durability })
      expect(settingsOf(inside.writer)).toEqual(WRITER)
      await inside.nodes.create(node(`n${opening}`))
      await inside.nodes.createMany(manyNodes(600, `many${opening}`))
      expect(settingsOf(inside.writer)).toEqual(WRITER)
    }
  })

  test('every connection that reads has the safe ones', async () => {
    using folder = temporaryFolder()
    await using inside = await openInside(folder.file('mesh.db'), { durability })
    expect(await inside.database.onReader(settingsOfReader)).toMatchObject(SAFE)
    const snapshot = await inside.database.withSnapshot('a test', async (reader) => {
      expect(reader.raw.readonly).toBe(true)
      return settingsOfReader(reader)
    })
    expect(snapshot).toMatchObject(SAFE)
    expect(await inside.database.onReader(({ raw }) => raw.readonly)).toBe(true)
    // An iteration fills the page cache: this is the memory that it keeps.
    expect(await inside.database.onReader(({ raw }) => raw.pragma('cache_size', { simple: true }))).toBe(-4_000)
  })
})

test('the driver by itself opens the same file with NORMAL: the setting is needed at every open', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await using inside = await openInside(path)
  await inside.nodes.create(node('a'))
  const raw = new Sqlite(path)
  expect(settingsOf(raw)).toMatchObject({ journal_mode: 'wal', synchronous: NORMAL })
  raw.close()
})

test('a file that came without a write-ahead log gets one, and one with another page size keeps it', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const raw = new Sqlite(path)
  raw.pragma('page_size = 8192')
  raw.pragma('journal_mode = DELETE')
  raw.exec('CREATE TABLE something_else (id INTEGER)')
  raw.close()
  await using inside = await openInside(path)
  expect(settingsOf(inside.writer)).toMatchObject({ journal_mode: 'wal', synchronous: FULL })
  expect(inside.writer.pragma('page_size', { simple: true })).toBe(8_192)
})

test('a read-only store refuses to write, whatever its connection', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await (await openStorage(path)).close()
  await using store = await openStorage({ url: path, readOnly: true })
  await expectCode(store.nodes.create(node('a')), 'READ_ONLY')
})
