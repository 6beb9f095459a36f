/** Backups of a file, by content: made, verified, restored. */
import { readdirSync, statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { type Meshstore, openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { dump } from '../support/content.ts'
import { temporaryFolder } from '../support/folders.ts'
import { sqliteProgram } from '../support/other-program.ts'
import { node, policy } from '../support/samples.ts'
import { LATEST } from '../support/tags.ts'
import { PAIRS, pairIds } from './programs/pairs.ts'
import { fill, fillLarge, mode } from './support/filled.ts'
import { Script } from './support/script.ts'

const pairsScript = await Script.bundle(new URL('programs/pairs.ts', import.meta.url))

describe('a backup', () => {
  test('restores to the same content', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    await fill(store)
    const before = await dump(store)
    const manifest = await store.backup(folder.file('mesh.backup'))
    expect(manifest).toMatchObject({
      file: folder.file('mesh.backup'),
      bytes: statSync(folder.file('mesh.backup')).size,
      schemaVersion: LATEST,
      tables: { nodes: { rows: 301 }, policies: { rows: 2 }, pathCache: { rows: 1 } },
    })
    await store.nodes.delete('ü😀')
    await store.policies.save(policy('default', 'rules: [changed]'))
    expect(await verifyBackup(folder.file('mesh.backup'))).toEqual(manifest)

    const restored = await restoreBackup(folder.file('mesh.backup'), folder.file('restored.db'))
    expect(restored).toMatchObject({ ...manifest, restoredTo: folder.file('restored.db') })
    await using again = await openStorage({ url: folder.file('restored.db'), migrate: 'check' })
    expect(await dump(again)).toEqual(before)
    expect(await again.backup(folder.file('again.backup'))).toMatchObject({ tables: manifest.tables })
  })

  test('keeps every stored bit, of rows that others wrote too', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await fill(store)
    const other = sqliteProgram(path)
    const times = { created_at: 1_762_300_800.123_456, updated_at: 1_762_300_800.654_321 }
    await other.insert('nodes', { node_id: 'python', interfaces: '["a", "b"]', protocols: '[ ]', ...times })
    await store.backup(folder.file('mesh.backup'))
    await restoreBackup(folder.file('mesh.backup'), folder.file('restored.db'))
    for (const table of ['nodes', 'policies', 'path_cache'] as const) {
      expect(await sqliteProgram(folder.file('restored.db')).rows(table)).toEqual(await other.rows(table))
    }
  })

  test('is one file that nobody else may read, without a log, and is remembered', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('data/mesh.db'))
    await fill(store)
    expect((await store.health()).lastBackup).toBeUndefined()
    const begun = Date.now()
    const target = folder.file('backups', 'mesh.backup')
    await store.backup(target)
    expect((await store.health()).lastBackup?.getTime()).toBeGreaterThanOrEqual(begun)
    await verifyBackup(target)
    expect(readdirSync(folder.file('backups'))).toEqual(['mesh.backup', 'mesh.backup.manifest.json'])
    expect(mode(target)).toBe('600')
    const raw = new Sqlite(target, { readonly: true })
    expect(raw.pragma('journal_mode', { simple: true })).toBe('delete')
    expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
    raw.close()
  })

  test('is done while another program holds the lock, and is noted when that one has gone', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage({ url: folder.file('mesh.db'), busyTimeoutMs: 600_000 })
    await fill(store)
    const other = new Sqlite(folder.file('mesh.db'))
    const noted = other.prepare("SELECT count(*) FROM meshstore_state WHERE name = 'last_backup'").pluck()
    other.exec('BEGIN IMMEDIATE')
    // A backup that waited for the lock would wait for ten minutes.
    await verifyBackup((await store.backup(folder.file('mesh.backup'))).file)
    expect(noted.get()).toBe(0)
    other.exec('ROLLBACK')
    await store.nodes.create(node('after'))
    expect(noted.get()).toBe(1)
    other.close()
  })

  test('of a read-only store and inside of a snapshot is one, too', async () => {
    using folder = temporaryFolder()
    const writable = await openStorage(folder.file('mesh.db'))
    await fill(writable)
    const { tables } = await writable.backup(folder.file('1.backup'))
    await writable.close()
    await using store = await openStorage({ url: folder.file('mesh.db'), readOnly: true })
    expect(await store.backup(folder.file('2.backup'))).toMatchObject({ tables })
  })

  test('tells how far it is', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    await fillLarge(store)
    const copied: number[] = []
    const totals = new Set<number>()
    await store.backup(folder.file('mesh.backup'), {
      onProgress: ({ copiedPages, totalPages }) => {
        copied.push(copiedPages)
        totals.add(totalPages)
      },
    })
    expect(copied.length).toBeGreaterThan(3)
    expect(copied).toEqual([...copied].sort((a, b) => a - b))
    expect(totals.size).toBe(1)
    expect(Math.max(...copied)).toBeLessThanOrEqual(Math.max(...totals))
  })
})

describe('while others write as fast as they can, a backup is of one moment:', () => {
  /** The counts of the pairs in a backup; both of each pair are equal. */
  function pairsIn(file: string): number[] {
    const raw = new Sqlite(file, { readonly: true })
    const select = raw.prepare<[string], number>('SELECT routes_discovered FROM nodes WHERE node_id = ?').pluck()
    const pairs = Array.from({ length: PAIRS }, (_, index) => pairIds(index).map((id) => select.get(id)))
    raw.close()
    expect(pairs.filter(([a, b]) => a !== b)).toEqual([])
    return pairs.map(([a]) => a ?? -1)
  }

  test('another process', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await fillLarge(store)
    await using program = pairsScript.start([path])
    await program.answer()
    const counted = async (): Promise<number> => (await store.nodes.get('pair-0-a'))?.routesDiscovered ?? 0

    for (const name of ['1.backup', '2.backup', '3.backup']) {
      const before = await counted()
      let steps = 0
      await store.backup(folder.file(name), { onProgress: () => steps++ })
      const after = await counted()
      expect(steps).toBeGreaterThan(3)
      // It wrote all the while.
      expect(after - before).toBeGreaterThan(3)
      const counts = pairsIn(folder.file(name))
      const [first = 0] = counts
      expect(first).toBeGreaterThanOrEqual(before)
      expect(first).toBeLessThanOrEqual(after)
      // All of them as they were at the moment of one write: the pairs up to there are ahead by one.
      const behind = counts.findIndex((count) => count !== first)
      const expected = counts.map((_, index) => (behind === -1 || index < behind ? first : first - 1))
      expect(counts).toEqual(expected)
    }
    expect(await program.ask<number>('stop')).toBeGreaterThan(3)
  })

  test('its own', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    await fillLarge(store)
    let running = true
    let transactions = 0
    const writing = (async () => {
      for (; running; transactions++) {
        const [a, b] = pairIds(transactions % PAIRS)
        await store.transaction(async (tx) => {
          await tx.nodes.recordRoutes(a)
          await tx.nodes.recordRoutes(b)
        })
      }
    })()
    await store.backup(folder.file('mesh.backup'))
    running = false
    await writing
    expect(transactions).toBeGreaterThan(3)
    pairsIn(folder.file('mesh.backup'))
  })
})

describe('nothing is left where a backup', () => {
  async function expectNothingLeft(run: (store: Meshstore, target: string) => Promise<unknown>): Promise<void> {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('data/mesh.db'))
    await fillLarge(store)
    await run(store, folder.file('backups', 'mesh.backup'))
    const left = readdirSync(folder.path, { recursive: true, encoding: 'utf8' })
    expect(left.filter((name) => name.startsWith('backups/'))).toEqual([])
    // And the store is as it was.
    await store.nodes.create(node('after'))
    await store.backup(folder.file('backups', 'mesh.backup'))
  }

  test('is aborted before it begins', () =>
    expectNothingLeft(async (store, target) => {
      const reason = new Error('too late')
      await expect(store.backup(target, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    }))

  test.each([1, 2, 4])('is aborted at step %i', (step) =>
    expectNothingLeft(async (store, target) => {
      const controller = new AbortController()
      const reason = new Error('enough')
      let steps = 0
      const backup = store.backup(target, {
        signal: controller.signal,
        onProgress: () => {
          if (++steps === step) controller.abort(reason)
        },
      })
      await expect(backup).rejects.toBe(reason)
      expect(steps).toBe(step)
    }),
  )

  test('fails because its caller does', () =>
    expectNothingLeft(async (store, target) => {
      const failure = new Error('the progress bar is broken')
      const onProgress = (): never => {
        throw failure
      }
      await expect(store.backup(target, { onProgress })).rejects.toBe(failure)
    }))
})
