/** Backups of PostgreSQL: the same files as those of SQLite, which restore into either. */
import { statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { expect, test } from 'vitest'
import { copyDatabase, openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { documentOf, runCommand } from '../cli/support/command.ts'
import { counts, filled, ownHash, type Place, postgres, sqlite } from '../move/support/places.ts'
import { forPostgres, nasty, plain } from '../move/support/rows.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { SwappingProxy } from '../postgres/support/swapping-proxy.ts'
import { postgres as borrowed } from '../support/backends.ts'
import { expectCode, expectRefused } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { manifestOf, namesIn } from './support/files.ts'
import { eventually, recordBackups } from './support/scheduled.ts'

const served = async (rows = plain(20)): Promise<Place> => filled(await postgres.open(), forPostgres(rows))

describePostgres('a backup of PostgreSQL', () => {
  test('is one plain file of SQLite, with a manifest, and restores into either dialect', async () => {
    using folder = temporaryFolder()
    await using source = await served(nasty)
    await using store = await openStorage(source.url)
    const before = await ownHash(source)
    const file = folder.file('deep', 'mesh.backup')
    const manifest = await store.backup(file)
    expect(namesIn(folder.file('deep'))).toEqual(['mesh.backup', manifestOf('mesh.backup')])
    if (process.platform !== 'win32') expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(await verifyBackup(file)).toEqual(manifest)
    expect(manifest.bytes).toBe(statSync(file).size)
    expect((await store.health()).lastBackup).toBeInstanceOf(Date)
    const raw = new Sqlite(file, { readonly: true })
    expect(raw.pragma('journal_mode', { simple: true })).toBe('delete')
    raw.close()

    for (const kind of [sqlite, postgres]) {
      await using target = await kind.open()
      const report = await restoreBackup(file, target.url)
      expect(report).toMatchObject({ file, tables: manifest.tables, createdAt: manifest.createdAt })
      expect(report.restoredTo).not.toContain('postgres:postgres')
      expect(await ownHash(target)).toBe(before)
      await using restored = await openStorage({ url: target.url, migrate: 'check' })
      await restored.nodes.create(node('after'))
    }
  })

  test('waits for no transaction that somebody has left open', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    await using store = await openStorage(source.url)
    const somebody = new pg.Client(source.url)
    await somebody.connect()
    try {
      await somebody.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
      await somebody.query('DELETE FROM nodes')
      expect((await store.backup(folder.file('mesh.backup'))).tables.nodes.rows).toBe(20)
    } finally {
      await somebody.end()
    }
  })

  test('has the hashes that a backup of the same rows on SQLite has', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    await using twin = await sqlite.open()
    await copyDatabase(source.url, twin.url)
    await using one = await openStorage(source.url)
    await using other = await openStorage(twin.url)
    const { tables } = await one.backup(folder.file('one'))
    expect((await other.backup(folder.file('other'))).tables).toEqual(tables)
    expect(tables.nodes.rows).toBe(20)
  })

  test('needs no more than the rights of the application, and one connection beside the store’s', async () => {
    using folder = temporaryFolder()
    await using opened = await borrowed.open({ migrate: 'check', pool: { max: 1 } })
    await opened.store.nodes.createMany([node('a'), node('b')])
    await opened.store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    // Both at once: the store's own connection is not held.
    const [manifest] = await Promise.all([opened.store.backup(folder.file('b')), opened.store.nodes.create(node('c'))])
    expect(manifest.tables).toMatchObject({ pathCache: { rows: 1 } })
    await using behind = await opened.openAgain({ migrate: 'check', pool: { max: 1, mode: 'transaction' } })
    expect((await behind.backup(folder.file('c'))).tables).toMatchObject({ nodes: { rows: 3 } })
  })

  test('works behind a proxy that swaps the sessions between transactions', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    await using proxy = await SwappingProxy.before(source.url, { sessions: 3, startupOptions: 'refused' })
    await using store = await openStorage({ url: proxy.url, pool: { mode: 'transaction', max: 2 } })
    const writing = Promise.all(Array.from({ length: 50 }, () => store.nodes.recordRoutes('n-1')))
    const { file, tables } = await store.backup(folder.file('a'))
    await writing
    expect(tables.nodes.rows).toBe(20)
    await verifyBackup(file)
  })

  test('shows its progress, and can be stopped: then nothing is left', async () => {
    using folder = temporaryFolder()
    await using source = await served(plain(450))
    await using store = await openStorage(source.url)
    const seen: number[] = []
    await store.backup(folder.file('whole'), {
      onProgress: ({ copiedPages, totalPages }) => {
        expect(totalPages).toBe(1_350)
        seen.push(copiedPages)
      },
    })
    expect(seen.at(-1)).toBe(1_350)
    expect(seen.length).toBeGreaterThan(4)
    const enough = new AbortController()
    const stopped = store.backup(folder.file('half'), {
      signal: enough.signal,
      onProgress: () => enough.abort(new Error('Enough.')),
    })
    await expect(stopped).rejects.toThrow('Enough.')
    await expect(store.backup(folder.file('none'), { signal: AbortSignal.abort(new Error('No.')) })).rejects.toThrow(
      'No.',
    )
    expect(namesIn(folder.path)).toEqual(['whole', manifestOf('whole')])
  })

  test('is refused onto a file that is there, by a closed store, inside a transaction, and with wrong options', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    await using store = await openStorage(source.url)
    const theirs = folder.write('theirs', 'mine')
    await expectCode(store.backup(theirs), 'CONFIG')
    await expectCode(store.backup(''), 'CONFIG')
    await expectRefused(store.backup(folder.file('a'), { onProgress: 'yes' } as never), 'onProgress')
    await expectCode(
      store.transaction(() => store.backup(folder.file('b'))),
      'MISUSE',
    )
    await store.close()
    await expectCode(store.backup(folder.file('c')), 'CLOSED')
    expect(namesIn(folder.path)).toEqual(['theirs'])
  })

  test('that is being made is waited for by close()', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    const store = await openStorage(source.url)
    const backup = store.backup(folder.file('a'))
    await store.close()
    expect(namesIn(folder.path)).toEqual(['a', manifestOf('a')])
    await verifyBackup((await backup).file)
  })

  test('names a row that no database of ours can hold, and leaves nothing', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    await source.other.corrupt('nodes', 'n-3', { updated_at: Number.NaN })
    await using store = await openStorage(source.url)
    const { message } = await expectCode(store.backup(folder.file('a')), 'CORRUPT')
    expect(message).toContain('nodes "n-3": updated_at')
    expect(namesIn(folder.path)).toEqual([])
  })

  test('comes before a migration, and after one of a newer version', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    await source.other.execute(
      `INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('x', 4102444800000);
       INSERT INTO meshstore_state (name, value, updated_at) VALUES ('migration:4102444800000', '9999_new', 0)`,
    )
    await using newer = await openStorage(source.url)
    expect((await newer.backup(folder.file('newer'))).schemaVersion).toMatch(/^0/)
    await verifyBackup(folder.file('newer'))
    await using empty = await postgres.open()
    await using none = await openStorage({ url: empty.url, migrate: 'skip' })
    const { message } = await expectCode(none.backup(folder.file('none')), 'SCHEMA_MISMATCH')
    expect(message).toContain('nothing to back up')
  })

  test('is made by the schedule, and kept as it says', async () => {
    using folder = temporaryFolder()
    using events = recordBackups()
    await using source = await served()
    const backups = { folder: folder.file('backups'), everySeconds: 1, keep: { last: 2 } }
    await using store = await openStorage({ url: source.url, backups })
    await eventually('three backups', () => events.made.length >= 3)
    expect(events.failed).toEqual([])
    const health = await store.health()
    expect(health.problems).toEqual([])
    expect(health.lastBackup).toBeInstanceOf(Date)
    await store.close()
    const names = namesIn(folder.file('backups')).filter((name) => name.endsWith('.sqlite'))
    expect(names.length).toBeLessThanOrEqual(3)
    for (const name of names) {
      expect(name).toMatch(/^meshstore_test_\w+-\d{8}T\d{9}Z\.sqlite$/)
      expect((await verifyBackup(folder.file('backups', name))).tables.nodes.rows).toBe(20)
    }
  })

  test('one that fails is in health()', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    await source.other.corrupt('nodes', 'n-3', { updated_at: Number.NaN })
    const backups = { folder: folder.file('backups'), everySeconds: 3_600 }
    await using store = await openStorage({ url: source.url, backups })
    const problem = await eventually('the problem', async () => (await store.health()).problems[0])
    expect(problem).toMatchObject({ code: 'CORRUPT', message: expect.stringContaining('scheduled backup') })
  })
})

describePostgres('a restore into PostgreSQL', () => {
  test('is refused onto rows, with replace, without migrations, and of a damaged backup; then nothing is there', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    await using store = await openStorage(source.url)
    const { file } = await store.backup(folder.file('b'))
    await using target = await postgres.open()
    await expectCode(restoreBackup(file, target.url, { replace: true }), 'CONFIG')
    await expectCode(restoreBackup(file, target.url, { migrate: false }), 'CONFIG')
    await expectCode(restoreBackup(file, source.url), 'CONFIG')
    const raw = new Sqlite(file)
    raw.exec("UPDATE nodes SET routes_discovered = 8 WHERE node_id = 'n-1'")
    raw.close()
    await expectCode(restoreBackup(file, target.url), 'BACKUP_INVALID')
    await expect(target.other.rows('nodes')).rejects.toThrow()
  })

  test('of a SQLite file’s backup with rows that cannot live there says what to do', async () => {
    using folder = temporaryFolder()
    await using source = await filled(await sqlite.open(), plain(2))
    await source.other.corrupt('policies', 'p-1', { yaml_content: '\0' })
    await using store = await openStorage(source.url)
    const { file } = await store.backup(folder.file('b'))
    await using target = await postgres.open()
    const { message, issues } = await expectCode(restoreBackup(file, target.url), 'CORRUPT')
    expect(message).toContain('meshstore copy')
    expect(issues).toHaveLength(1)
  })
})

describePostgres('the commands, on PostgreSQL', () => {
  test('backup create, list, verify; restore, after --dry-run has changed nothing', async () => {
    using folder = temporaryFolder()
    await using source = await served()
    const before = await ownHash(source)
    const created = await runCommand(['backup', 'create', '--url', source.url, '--json', '--keep-last', '3'], {
      cwd: folder.path,
    })
    expect(created).toMatchObject({ code: 0, stderr: '' })
    const { file } = documentOf(created)
    expect(file).toMatch(/\/backups\/meshstore_test_\w+-\d{8}T\d{9}Z\.sqlite$/)
    expect(await runCommand(['backup', 'verify', String(file)])).toMatchObject({ code: 0, stderr: '' })
    await using target = await postgres.open()
    const restore = (...args: string[]) => runCommand(['restore', '--from', String(file), '--to', target.url, ...args])
    expect(await restore('--dry-run')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('It would be restored into'),
    })
    await expect(target.other.rows('nodes')).rejects.toThrow()
    expect(await restore()).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Restored postgres:.*20 nodes/) })
    expect(await ownHash(target)).toBe(before)
    const password = new URL(target.url).password
    for (const again of [await restore(), await restore('--dry-run')]) {
      expect(again).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^CONFIG: .*empty/) })
      expect(again.stderr).not.toContain(password)
    }
    expect(await counts(target)).toEqual({ nodes: 20, policies: 20, path_cache: 20 })
  })

  test('--if-exists, where there is nothing yet', async () => {
    await using empty = await postgres.open()
    expect(await runCommand(['backup', 'create', '--if-exists', '--url', empty.url])).toMatchObject({
      code: 0,
      stdout: 'There is no database yet: nothing to back up.\n',
    })
    expect(await runCommand(['backup', 'create', '--url', empty.url])).toMatchObject({ code: 4, stdout: '' })
  })
})
