/** What opening a database with own tables makes, and what it refuses, before anything is written. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { openStorage, StorageError } from '../../src/index.ts'
import { type DefinedTable, schema, table } from '../../src/tables-entry.ts'
import * as pg from '../../src/tables-postgres-entry.ts'
import * as lite from '../../src/tables-sqlite-entry.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import * as postgres from './app/postgres.ts'
import { app, migrations } from './app/schema.ts'
import * as sqlite from './app/sqlite.ts'
import { link, openApp } from './app/stages.ts'

/** The application's migrations, with one more on both dialects. */
function withMigration(folder: string, sql: string, when = 1_900_000_000_000): string {
  const copy = join(folder, 'drizzle')
  cpSync(migrations, copy, { recursive: true })
  for (const dialect of ['sqlite', 'postgresql']) {
    const file = join(copy, dialect, 'meta/_journal.json')
    const journal = JSON.parse(readFileSync(file, 'utf8'))
    journal.entries.push({ idx: 1, version: '6', when, tag: '0001_more', breakpoints: true })
    writeFileSync(file, JSON.stringify(journal))
    writeFileSync(join(copy, dialect, '0001_more.sql'), sql)
  }
  return copy
}

const dump = (path: string): unknown => {
  const raw = new Sqlite(path, { readonly: true })
  const all = raw.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all()
  const ledger = raw.prepare('SELECT hash FROM __drizzle_migrations').all()
  raw.close()
  return { all, ledger }
}

describe('a file', () => {
  test('gets the tables, their triggers and their descriptions, once', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await (await openApp(path)).close()
    const before = dump(path)
    const raw = new Sqlite(path)
    const state = raw.prepare("SELECT name, value FROM meshstore_state WHERE name LIKE 'table:%' ORDER BY name").all()
    expect(state).toMatchObject([{ name: 'table:links' }, { name: 'table:sites' }])
    expect(JSON.parse((state[1] as { value: string }).value)).toEqual({
      name: 'sites',
      key: 'site_id',
      columns: [
        { name: 'site_id', kind: 'text', nullable: false },
        { name: 'name', kind: 'text', nullable: false },
        { name: 'floors', kind: 'integer', nullable: false },
        { name: 'plan', kind: 'json', nullable: true },
      ],
    })
    expect(raw.prepare('SELECT count(*) FROM __app_migrations').pluck().get()).toBe(1)
    raw.close()
    await (await openApp(path, { migrate: 'check' })).close()
    await (await openApp(path)).close()
    expect(dump(path)).toEqual(before)
    // Programs without the application's code open it as ever.
    await (await openStorage({ url: path, migrate: 'check' })).close()
  })

  test('that many open at once gets the tables once', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const stores = await Promise.all(Array.from({ length: 6 }, () => openApp(path)))
    await Promise.all(
      stores.map((store, index) => store.tables.sites.create({ siteId: `s${index}`, name: `site ${index}` })),
    )
    expect(await stores[0]?.tables.sites.count({})).toBe(6)
    for (const store of stores) await store.close()
    const raw = new Sqlite(path)
    expect(raw.prepare('SELECT count(*) FROM __app_migrations').pluck().get()).toBe(1)
    raw.close()
  })

  test('with pending migrations is refused by migrate: check, and by a read-only store', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await (await openStorage(path)).close()
    const before = dump(path)
    for (const options of [{ migrate: 'check' }, { readOnly: true }] as const) {
      const error = await expectCode(openApp(path, options), 'SCHEMA_MISMATCH')
      expect(error.message).toContain('0000_create_links')
    }
    expect(dump(path)).toEqual(before)
    await (await openApp(path, { migrate: 'skip' })).close()
  })

  test('without the tables, or with others, is refused with what to do', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const error = await expectCode(openApp(path, { migrations: undefined }), 'SCHEMA_MISMATCH')
    expect(error.message).toMatch(/has no table links.*drizzle-kit generate/)
    await (await openApp(path)).close()
    const raw = new Sqlite(path)
    raw.exec('ALTER TABLE sites DROP COLUMN plan')
    raw.close()
    expect((await expectCode(openApp(path), 'SCHEMA_MISMATCH')).message).toContain('no column plan')
  })

  test('gets triggers and descriptions back that it has lost', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await (await openApp(path)).close()
    const before = dump(path)
    const raw = new Sqlite(path)
    raw.exec("DROP TRIGGER links_log_update; DELETE FROM meshstore_state WHERE name = 'table:sites'")
    raw.close()
    const error = await expectCode(openApp(path, { migrate: 'check' }), 'SCHEMA_MISMATCH')
    expect(error.message).toMatch(/links has lost links_log_update; sites is not described/)
    await (await openApp(path)).close()
    expect(dump(path)).toEqual(before)
  })

  test.each([
    ['fails', 'CREATE TABLE more (a text);--> statement-breakpoint\nnonsense', /0001_more.sql failed, and nothing/],
    [
      'changes nodes',
      'ALTER TABLE nodes ADD COLUMN site text',
      /0001_more.sql changes nodes, which is a table of meshstore/,
    ],
    ['drops a trigger of ours', 'DROP TRIGGER policies_log_insert', /changes policies/],
    ['leaves orphans', 'DROP TABLE sites', /foreign_key_check/],
  ])('a migration that %s leaves nothing', async (_, sql, message) => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const store = await openApp(path)
    await store.tables.sites.create({ siteId: 's', name: 'one' })
    await store.tables.links.create(link('l', { siteId: 's' }))
    await store.close()
    const before = dump(path)
    const error = await openApp(path, { migrations: withMigration(folder.path, sql) }).catch((each: unknown) => each)
    expect(error).toBeInstanceOf(StorageError)
    expect((error as StorageError).message).toMatch(message)
    expect(dump(path)).toEqual(before)
  })

  test('follows the rules of migrations: edited, merged late, newer', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const more = withMigration(folder.path, 'CREATE TABLE more (a text PRIMARY KEY NOT NULL)')
    await (await openApp(path, { migrations: more })).close()
    // An older version of the application goes on.
    await (await openApp(path)).close()
    writeFileSync(join(more, 'sqlite/0001_more.sql'), 'CREATE TABLE other (a text)')
    await expectCode(openApp(path, { migrations: more }), 'MIGRATION_EDITED')
    mkdirSync(join(folder.path, 'late'))
    const late = withMigration(join(folder.path, 'late'), 'CREATE TABLE late (a text)', 1_800_000_000_000)
    await expectCode(openApp(path, { migrations: late }), 'MIGRATION_OUT_OF_ORDER')
  })

  test('with the migrations in the ledger of the library is mended', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await (await openApp(path)).close()
    const before = dump(path)
    const raw = new Sqlite(path)
    raw.exec('INSERT INTO __drizzle_migrations SELECT * FROM __app_migrations; DELETE FROM __app_migrations')
    raw.close()
    await (await openApp(path)).close()
    expect(dump(path)).toEqual(before)
  })

  test('that has rows is backed up before a migration of the application', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const store = await openStorage(path)
    await store.nodes.create({ nodeId: 'n', interfaces: [], protocols: [] })
    await store.close()
    await (await openApp(path)).close()
    expect(readdirSync(folder.path).filter((name) => /0000_create_links/.test(name))).not.toEqual([])
  })

  test('refuses folders and schemas that cannot be used', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const none = await expectCode(openApp(path, { migrations: folder.path }), 'CONFIG')
    expect(none.message).toMatch(/drizzle-kit generate/)
    await expectCode(openStorage({ url: path, tables: { links: {} } as never }), 'CONFIG')
    await expectCode(openStorage({ url: path, tables: { tables: { links: {} } } as never }), 'CONFIG')
  })
})

describe('table() and schema()', () => {
  const liteTable = (name: string, more: Record<string, ReturnType<typeof lite.text>> = {}) =>
    lite.sqliteTable(name, { id: lite.text('id').primaryKey().notNull(), ...more })
  const refused = (message: RegExp, make: () => unknown): void => {
    try {
      make()
    } catch (error) {
      expect(error).toBeInstanceOf(StorageError)
      expect((error as StorageError).code).toBe('CONFIG')
      expect((error as StorageError).message).toMatch(message)
      return
    }
    throw new Error(`It was not refused: ${message}`)
  }

  test.each(['nodes', 'meshstore_links', 'sqlite_links', 'pg_links', '__app_x', 'Links', 'my links'])(
    'refuse the name %s',
    (name) => refused(/its name/, () => table({ sqlite: liteTable(name), key: 'id' })),
  )

  test('refuse twins that the compiler cannot tell apart', () => {
    const twin = (id: ReturnType<typeof pg.text>, name = 'more') => pg.pgTable(name, { id: id.primaryKey().notNull() })
    refused(/is called other/, () =>
      table({ sqlite: liteTable('more'), postgres: twin(pg.text('id'), 'other'), key: 'id' }),
    )
    refused(/not the same column/, () =>
      table({ sqlite: liteTable('more'), postgres: twin(pg.text('key')), key: 'id' }),
    )
    const plain = pg.pgTable('more', { id: pg.text('id').primaryKey().notNull(), at: pg.real('at') })
    const time = lite.sqliteTable('more', { id: lite.text('id').primaryKey().notNull(), at: lite.time('at') })
    refused(/on PostgreSQL at must be double precision/, () =>
      table({ sqlite: time, postgres: plain as never, key: 'id' }),
    )
  })

  test('refuse a key that is no primary key, and defaults in SQL', () => {
    refused(/must be the primary key/, () =>
      table({ sqlite: liteTable('more', { name: lite.text('name').notNull() as never }), key: 'name' as never }),
    )
    const inSql = lite.sqliteTable('more', {
      id: lite.text('id').primaryKey().notNull(),
      at: lite.integer('at').default(lite.sql`(unixepoch())`),
    })
    refused(/default in SQL/, () => table({ sqlite: inSql, key: 'id' }))
  })

  test('refuse foreign keys in a circle, or out of the schema', () => {
    const self = lite.sqliteTable(
      'more',
      { id: lite.text('id').primaryKey().notNull(), parent: lite.text('parent') },
      (columns) => [lite.foreignKey({ columns: [columns.parent], foreignColumns: [columns.id] })],
    )
    refused(/in a circle/, () => schema({ more: table({ sqlite: self, key: 'id' }) }))
    const links = table({ sqlite: sqlite.links, postgres: postgres.links, key: 'linkId' })
    refused(/names sites, which is not in the schema/, () => schema({ links }))
    refused(/described twice/, () =>
      schema({ a: app.tables.sites, b: app.tables.sites } as Record<
        string,
        DefinedTable<typeof sqlite.sites, 'siteId'>
      >),
    )
  })
})

describePostgres('a database on a server', () => {
  test('gets the tables, and refuses what a file refuses', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    const pending = await expectCode(openApp(database.url, { migrate: 'check' }), 'SCHEMA_MISMATCH')
    expect(pending.message).toContain('pending')
    await (await openStorage(database.url)).close()
    expect((await expectCode(openApp(database.url, { migrations: undefined }), 'SCHEMA_MISMATCH')).message).toContain(
      'has no table links',
    )
    // At once: the migrations are applied by one of them.
    const [own, ...others] = await Promise.all([1, 2, 3, 4].map(() => openApp(database.url)))
    if (own === undefined) throw new Error('Nothing was opened.')
    for (const other of others) await other.close()
    await own.tables.sites.create({ siteId: 's', name: 'one' })
    await own.tables.links.create(link('l', { siteId: 's' }))
    await own.close()
    await (await openApp(database.url, { migrate: 'check' })).close()
    const ledgers = () =>
      database.query<{ n: string }>(
        `SELECT (SELECT count(*) FROM drizzle.__app_migrations) || ' ' || (SELECT count(*) FROM drizzle.__drizzle_migrations)
         || ' ' || (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) AS n`,
      )
    const before = await ledgers()
    for (const [sql, message] of [
      ['CREATE TABLE more (a text);--> statement-breakpoint\nnonsense', /0001_more.sql failed, and nothing/],
      ['ALTER TABLE nodes ADD COLUMN site text', /changes nodes, which is a table of meshstore/],
      ['DROP TRIGGER policies_log_insert ON policies', /changes policies/],
    ] as const) {
      const error = await openApp(database.url, { migrations: withMigration(folder.path, sql) }).catch(
        (each: unknown) => each,
      )
      expect((error as StorageError).message).toMatch(message)
      expect(await ledgers()).toEqual(before)
    }
    await database.query(
      'INSERT INTO drizzle.__drizzle_migrations (hash, created_at) SELECT hash, created_at FROM drizzle.__app_migrations; DELETE FROM drizzle.__app_migrations; DROP TRIGGER links_log_insert ON links',
    )
    await (await openApp(database.url)).close()
    expect(await ledgers()).toEqual(before)
  })

  test('needs the twin for PostgreSQL', async () => {
    await using database = await createDatabase()
    const sites = schema({ sites: table({ sqlite: sqlite.sites, key: 'siteId' }) })
    await (await openApp(database.url)).close()
    await using store = await openStorage({ url: database.url, tables: sites })
    expect((await expectCode(store.tables.sites.get('s'), 'CONFIG')).message).toMatch(/sites has no twin on PostgreSQL/)
  })
})
