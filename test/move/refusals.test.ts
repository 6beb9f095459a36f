/** A copy that cannot be made is refused in a sentence, and nothing is changed. */
import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { copyDatabase, openStorage, type StorageError, type StorageErrorCode } from '../../src/index.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode, expectRefused } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { foreignFile } from '../support/other-program.ts'
import { counts, directions, filled, kinds, ownHash, sqlite, TABLES } from './support/places.ts'
import { forPostgres, plain } from './support/rows.ts'

describe.each(directions)('from $names.0 to $names.1', ({ from, to }) => {
  test.each(TABLES)('a target that has a row in %s', async (table) => {
    await using source = await filled(await from.open(), plain(2))
    await using target = await filled(
      await to.open(),
      plain(1).filter(([each]) => each === table),
    )
    const before = await ownHash(target)
    for (const options of [{}, { dryRun: true }, { skipCache: true }]) {
      const { message } = await expectCode(copyDatabase(source.url, target.url, options), 'CONFIG')
      expect(message).toContain(table)
    }
    expect(await ownHash(target)).toBe(before)
  })

  test('a target that gets a row after it was found to be empty', async () => {
    await using source = await filled(await from.open(), from === sqlite ? plain(2) : forPostgres(plain(2)))
    await using target = await filled(await to.open())
    let inserting: Promise<void> | undefined
    const [row] = to === sqlite ? plain(1) : forPostgres(plain(1))
    const copying = copyDatabase(source.url, target.url, {
      onProgress: ({ step }) => {
        if (step === 'checking' && row !== undefined) inserting ??= target.other.insert(...row)
      },
    })
    // On a server it may come to stand behind the copy's lock, and then collides with what was copied.
    const { message } = await copying.then(
      () => ({ message: 'nodes' }),
      (error: unknown) => error as StorageError,
    )
    expect(message).toContain('nodes')
    const inserted = await inserting?.then(
      () => true,
      () => false,
    )
    expect(await counts(target)).toEqual(
      inserted ? { nodes: 1, policies: 0, path_cache: 0 } : { nodes: 2, policies: 2, path_cache: 2 },
    )
    if (to === sqlite) expect(inserted).toBe(true)
  })

  test('a source that is not up to date', async () => {
    await using source = await filled(await from.open(), plain(1))
    await using target = await to.open()
    await source.other.execute(`DELETE FROM ${from === sqlite ? '' : 'drizzle.'}__drizzle_migrations`)
    await source.other.execute(`DROP TABLE meshstore_state`)
    await source.other.execute(`DROP TABLE path_cache`)
    const { message } = await expectCode(copyDatabase(source.url, target.url), 'SCHEMA_MISMATCH')
    expect(message).toContain('meshstore migrate')
    expect(existsSync(target.url)).toBe(false)
  })

  test.each(['source', 'target'] as const)('a %s that a newer version has migrated', async (which) => {
    await using source = await filled(await from.open(), plain(1))
    await using target = await filled(await to.open())
    const [place, kind] = which === 'source' ? [source, from] : [target, to]
    const ledger = `${kind === sqlite ? '' : 'drizzle.'}__drizzle_migrations`
    await place.other.execute(`INSERT INTO ${ledger} (hash, created_at) VALUES ('later', 4102444800000)`)
    await place.other.execute(
      `INSERT INTO meshstore_state VALUES ('migration:4102444800000', '0099_later', 4102444800)`,
    )
    const { message } = await expectCode(copyDatabase(source.url, target.url), 'SCHEMA_NEWER')
    expect(message).toContain(which)
    expect(message).toContain('0099_later')
    expect(await counts(target)).toEqual({ nodes: 0, policies: 0, path_cache: 0 })
  })

  test('into itself', async () => {
    if (from !== to) return
    await using source = await filled(await from.open())
    await expectCode(copyDatabase(source.url, source.url), 'CONFIG')
  })
})

describe.each(kinds)('a target on $name', (kind) => {
  test('with tables of another program', async () => {
    await using source = await filled(await sqlite.open(), plain(1))
    await using target = await kind.open()
    if (kind === sqlite) foreignFile(target.url, 'CREATE TABLE nodes (node_id TEXT PRIMARY KEY, mine TEXT)')
    else await target.other.execute('CREATE TABLE nodes (node_id TEXT PRIMARY KEY, mine TEXT)')
    await expectCode(copyDatabase(source.url, target.url), 'SCHEMA_MISMATCH')
    expect(await target.other.rows('nodes')).toEqual([])
  })

  test('with other tables: they are left alone', async () => {
    await using source = await filled(await sqlite.open(), plain(1))
    await using target = await kind.open()
    if (kind === sqlite) foreignFile(target.url, 'CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)')
    else await target.other.execute('CREATE TABLE theirs (a integer)')
    await copyDatabase(source.url, target.url)
    expect(await counts(target)).toEqual({ nodes: 1, policies: 1, path_cache: 1 })
    await target.other.execute('DROP TABLE theirs')
  })
})

describe('files:', () => {
  const PYTHON = `
    CREATE TABLE nodes (node_id TEXT PRIMARY KEY, interfaces TEXT NOT NULL, protocols TEXT NOT NULL,
      started BOOLEAN DEFAULT 0, routes_discovered INTEGER DEFAULT 0, created_at REAL NOT NULL, updated_at REAL NOT NULL)`

  test('one of another program is adopted first, be it source or target', async () => {
    using folder = temporaryFolder()
    const file = foreignFile(folder.file('python.db'), PYTHON)
    const { message } = await expectCode(copyDatabase(file, folder.file('to.db')), 'SCHEMA_MISMATCH')
    expect(message).toContain('meshstore migrate')
    await using source = await filled(await sqlite.open())
    await expectCode(copyDatabase(source.url, file), 'CONFIG')
  })

  test('no file, no database, a folder, one in memory, one under two names', async () => {
    using folder = temporaryFolder()
    await using source = await filled(await sqlite.open(), plain(1))
    writeFileSync(folder.file('text.db'), 'This is no database, and longer than the header of one would be.'.repeat(20))
    const wrong: [string, string, StorageErrorCode][] = [
      [folder.file('none.db'), folder.file('to.db'), 'CONFIG'],
      [folder.file('text.db'), folder.file('to.db'), 'CORRUPT'],
      [source.url, folder.file('text.db'), 'CORRUPT'],
      [folder.path, folder.file('to.db'), 'CONFIG'],
      ['sqlite::memory:', folder.file('to.db'), 'CONFIG'],
      [source.url, 'sqlite::memory:', 'CONFIG'],
      [source.url, 'mysql://localhost/mesh', 'CONFIG'],
      [folder.link('alias.db', source.url), source.url, 'CONFIG'],
    ]
    for (const [from, to, code] of wrong) await expectCode(copyDatabase(from, to), code)
    expect(existsSync(folder.file('to.db'))).toBe(false)
  })

  test('one that somebody is writing to is waited for, so long', async () => {
    await using source = await filled(await sqlite.open(), plain(1))
    await using target = await filled(await sqlite.open())
    const raw = new Sqlite(target.url)
    raw.exec('BEGIN IMMEDIATE')
    await expectCode(copyDatabase(source.url, target.url, { busyTimeoutMs: 50 }), 'BUSY')
    raw.close()
    await copyDatabase(source.url, target.url)
  })

  test('a name that is relative means the folder of the moment of the call', async () => {
    await using source = await filled(await sqlite.open(), plain(1))
    using folder = temporaryFolder()
    using elsewhere = temporaryFolder()
    const before = process.cwd()
    process.chdir(folder.path)
    try {
      copyFileSync(source.url, folder.file('mesh.db'))
      const copying = copyDatabase('mesh.db', 'copy.db')
      process.chdir(elsewhere.path)
      await copying
    } finally {
      process.chdir(before)
    }
    expect(existsSync(folder.file('copy.db'))).toBe(true)
  })
})

describe('options', () => {
  const wrong: Record<string, object> = {
    dryRun: { dryRun: 'yes' },
    skipCache: { skipCache: 1 },
    quarantine: { quarantine: 7 },
    busyTimeoutMs: { busyTimeoutMs: -1 },
    onProgress: { onProgress: true },
    onRefused: { onRefused: 'log' },
    signal: { signal: {} },
    force: { force: true },
  }
  test.each(Object.entries(wrong))('%s', async (path, options) => {
    await expectRefused(copyDatabase('a.db', 'b.db', options), path)
  })
})

describePostgres('a server', () => {
  test('that is not there, whose database is not, and whose URL cannot be read: no password in what is said', async () => {
    await using source = await filled(await sqlite.open(), plain(1))
    await using database = await createDatabase()
    const missing = new URL(database.url)
    missing.pathname = '/nobody-made-it'
    const wrong: [string, StorageErrorCode][] = [
      ['postgres://me:hunter2@127.0.0.1:1/mesh', 'UNAVAILABLE'],
      [missing.href, 'CONFIG'],
      ['postgres://me:hunter2@127.0.0.1/mesh?nonsense=1', 'CONFIG'],
    ]
    for (const [url, code] of wrong) {
      const there = await expectCode(copyDatabase(source.url, url), code)
      const back = await expectCode(copyDatabase(url, `${source.url}-new`), code)
      expect(`${there.message} ${back.message}`).not.toContain('hunter2')
    }
    expect(existsSync(`${source.url}-new`)).toBe(false)
  })

  test('one where somebody holds the table is waited for, so long, and then nothing is there', async () => {
    await using source = await filled(await sqlite.open(), plain(1))
    await using database = await createDatabase()
    await (await openStorage(database.url)).close()
    const client = await database.client()
    await client.query("BEGIN; UPDATE nodes SET started = true WHERE node_id = 'x'")
    await expectCode(copyDatabase(source.url, database.url, { busyTimeoutMs: 50 }), 'BUSY')
    await client.query('ROLLBACK')
    await copyDatabase(source.url, database.url)
  })
})
