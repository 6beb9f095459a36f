/** The files of a database: who opens them, what is in the log, who may read them. */
import { existsSync, statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test, vi } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'
import { Script } from './support/script.ts'

describe('fs', () => {
  const trapped = Script.bundle(new URL('programs/trapped.ts', import.meta.url))
  interface Opened {
    readonly live: string[]
    readonly created: string[]
    readonly other: number
  }

  async function run(...args: string[]): Promise<{ opened: Opened; path: string }> {
    using folder = temporaryFolder()
    await using program = (await trapped).start([folder.path, ...args])
    const opened = await program.answer<Opened>()
    expect(await program.ended, program.errors).toEqual({ code: 0, signal: null })
    return { opened, path: folder.file('mesh.db') }
  }

  test('never opens a live database or its -shm: to close them would drop the locks of SQLite', async () => {
    const { opened, path } = await run()
    // SQLite locks no byte of the -wal. One handle shows whether it is still the one that is written.
    expect(opened.live.filter((each) => !/^openSync .*-wal$/.test(each))).toEqual([])
    // The file was created once, before SQLite saw it.
    expect(opened.created).toEqual([`openSync ${path}`])
    // The backups, which nobody has open.
    expect(opened.other).toBeGreaterThan(0)
  })

  test('would be caught', async () => {
    const { opened, path } = await run('--control')
    expect(opened.live).toEqual(expect.arrayContaining([`readFileSync ${path}`, `open ${path}`]))
  })
})

describe('the write-ahead log', () => {
  test('is gone when the last one closes', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const store = await openStorage(path)
    await store.nodes.createMany(manyNodes(1_000))
    expect(statSync(`${path}-wal`).size).toBeGreaterThan(0)
    await store.close()
    expect({ wal: existsSync(`${path}-wal`), shm: existsSync(`${path}-shm`) }).toEqual({ wal: false, shm: false })
    const raw = new Sqlite(path, { readonly: true })
    expect(raw.prepare('SELECT count(*) FROM nodes').pluck().get()).toBe(1_000)
    raw.close()
  })

  test('is emptied when a store closes while others have the file open', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using other = await openStorage(path)
    const store = await openStorage(path)
    await store.nodes.createMany(manyNodes(1_000))
    expect(statSync(`${path}-wal`).size).toBeGreaterThan(0)
    await store.close()
    expect(statSync(`${path}-wal`).size).toBe(0)
    expect(await other.nodes.count()).toBe(1_000)
  })

  test('goes into the database when nobody has written for a while', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await store.nodes.createMany(manyNodes(2_000))
    const { bytes, walBytes } = await store.stats()
    expect(walBytes).toBeGreaterThan(0)
    expect(statSync(path).size).toBeLessThan(bytes)
    await vi.waitFor(() => expect(statSync(path).size).toBe(bytes), { timeout: 30_000, interval: 50 })

    // And again.
    await store.nodes.createMany(manyNodes(2_000, 'm'))
    const { bytes: later } = await store.stats()
    expect(later).toBeGreaterThan(bytes)
    await vi.waitFor(() => expect(statSync(path).size).toBe(later), { timeout: 30_000, interval: 50 })
  })

  test('does not grow without bound while somebody writes all the time', async () => {
    using folder = temporaryFolder()
    // How often it is synced does not matter here.
    await using store = await openStorage({ url: folder.file('mesh.db'), durability: 'normal' })
    await store.nodes.create(node('counted'))
    const commits = 4_000
    for (let commit = 0; commit < commits; commit++) await store.nodes.recordRoutes('counted')
    const { walBytes } = await store.stats()
    // Each of them adds a page of 4 KiB at least, 16 MB in all; SQLite starts again at 1,000 pages.
    expect(walBytes).toBeLessThan(6 * 1024 * 1024)
  })
})

describe('whatever the umask', () => {
  const modes = Script.bundle(new URL('programs/modes.ts', import.meta.url))

  test.each(['000', '022', '077'])('%s, nobody else may read anything', async (umask) => {
    using folder = temporaryFolder()
    await using program = (await modes).start([umask, folder.path])
    expect(await program.answer(), program.errors).toEqual({
      data: '700',
      'data/mesh.db': '600',
      'data/mesh.db-wal': '600',
      'data/mesh.db-shm': '600',
      backups: '700',
      'backups/mesh.backup': '600',
      'backups/mesh.backup.manifest.json': '600',
      restored: '700',
      'restored/mesh.db': '600',
    })
    expect(await program.ended).toEqual({ code: 0, signal: null })
  })
})
