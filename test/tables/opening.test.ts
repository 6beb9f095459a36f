/** Opening a database with own tables: what it makes, and what it refuses, before anything is written. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, inject, test } from 'vitest'
import { openStorage, StorageError } from '../../src/index.ts'
import { schema, table } from '../../src/tables-entry.ts'
import { runCommand } from '../cli/support/command.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, pathKey } from '../support/samples.ts'
import { migrations } from './app/schema.ts'
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

const BREAK = ';\n--> statement-breakpoint\n'

type Row = Readonly<Record<string, unknown>>
interface Place extends AsyncDisposable {
  readonly url: string
  /** SQL of the dialect's own, past the library. */
  readonly ask: (sql: string) => Promise<Row[]>
}

interface Kind {
  readonly name: string
  readonly folder: 'sqlite' | 'postgresql'
  readonly open: () => Promise<Place>
  /** The tables, columns and triggers that are there. */
  readonly objects: string
  readonly ledgers: { readonly ours: string; readonly own: string }
  readonly dropTrigger: (table: string, name: string) => string
  /** The fate of a table's children that stay behind. */
  readonly orphans: RegExp
}

const kinds: readonly Kind[] = [
  {
    name: 'a file',
    folder: 'sqlite',
    open: async () => {
      const folder = temporaryFolder()
      const url = folder.file('mesh.db')
      const ask: Place['ask'] = async (sql) => {
        const raw = new Sqlite(url)
        try {
          if (/^\s*SELECT/.test(sql)) return raw.prepare<[], Row>(sql).all()
          raw.exec(sql)
          return []
        } finally {
          raw.close()
        }
      }
      return { url, ask, [Symbol.asyncDispose]: async () => folder[Symbol.dispose]() }
    },
    objects: 'SELECT type, name, sql FROM sqlite_schema ORDER BY name',
    ledgers: { ours: '__drizzle_migrations', own: '__app_migrations' },
    dropTrigger: (_, name) => `DROP TRIGGER ${name}`,
    orphans: /foreign_key_check/,
  },
  {
    name: 'a database on a server',
    folder: 'postgresql',
    open: async () => {
      const database = await createDatabase()
      return {
        url: database.url,
        ask: (sql) => database.query(sql),
        [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
      }
    },
    objects: `SELECT table_name || '.' || column_name || ' ' || data_type AS name FROM information_schema.columns
      WHERE table_schema IN ('public', 'drizzle')
      UNION ALL SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`,
    ledgers: { ours: 'drizzle.__drizzle_migrations', own: 'drizzle.__app_migrations' },
    dropTrigger: (of, name) => `DROP TRIGGER ${name} ON ${of}`,
    orphans: /0001_more.sql failed, and nothing/,
  },
]
/** The set-up has said loudly what is not tested if there is no server. */
const available = inject('postgresUrl') === '' ? kinds.slice(0, 1) : kinds

describe.each(available)('$name', ({ folder: dialect, open, objects, ledgers, dropTrigger, orphans }) => {
  const STATE = "SELECT name, value FROM meshstore_state WHERE name LIKE 'table:%' ORDER BY name"
  const dump = async ({ ask }: Place): Promise<unknown> => [
    await ask(objects),
    await ask(`SELECT hash FROM ${ledgers.ours} ORDER BY created_at`),
  ]
  const whole = async (place: Place): Promise<unknown> => [
    await dump(place),
    await place.ask(STATE),
    await place.ask(`SELECT hash FROM ${ledgers.own} ORDER BY created_at`),
  ]

  test('gets the tables, their triggers and their descriptions, once', async () => {
    await using place = await open()
    await (await openApp(place.url)).close()
    const before = await whole(place)
    const state = await place.ask(STATE)
    expect(state).toMatchObject([{ name: 'table:links' }, { name: 'table:sites' }])
    expect(JSON.parse(String(state[1]?.value))).toEqual({
      name: 'sites',
      key: 'site_id',
      columns: [
        { name: 'site_id', kind: 'text', nullable: false },
        { name: 'name', kind: 'text', nullable: false },
        { name: 'floors', kind: 'integer', nullable: false },
        { name: 'plan', kind: 'json', nullable: true },
      ],
    })
    expect(await place.ask(`SELECT hash FROM ${ledgers.own}`)).toHaveLength(1)
    await (await openApp(place.url, { migrate: 'check' })).close()
    await (await openApp(place.url)).close()
    expect(await whole(place)).toEqual(before)
    // Programs without the application's code open it as ever.
    await (await openStorage({ url: place.url, migrate: 'check' })).close()
  })

  test('that many open at once gets the tables once', async () => {
    await using place = await open()
    if (dialect === 'postgresql') await (await openStorage(place.url)).close()
    const stores = await Promise.all(Array.from({ length: 4 }, () => openApp(place.url)))
    await Promise.all(
      stores.map((store, index) => store.tables.sites.create({ siteId: `s${index}`, name: `site ${index}` })),
    )
    expect(await stores[0]?.tables.sites.count({})).toBe(4)
    for (const store of stores) await store.close()
    expect(await place.ask(`SELECT hash FROM ${ledgers.own}`)).toHaveLength(1)
  })

  test('with pending migrations is refused by migrate: check, and by a read-only store', async () => {
    await using place = await open()
    await (await openStorage(place.url)).close()
    const before = await dump(place)
    for (const options of [{ migrate: 'check' }, { readOnly: true }] as const) {
      const error = await expectCode(openApp(place.url, options), 'SCHEMA_MISMATCH')
      expect(error.message).toContain('0000_create_links')
    }
    expect(await dump(place)).toEqual(before)
    await (await openApp(place.url, { migrate: 'skip' })).close()
  })

  test('without the tables, or with others, is refused with what to do', async () => {
    await using place = await open()
    await (await openStorage(place.url)).close()
    const empty = await dump(place)
    for (const migrate of ['apply', 'check'] as const) {
      const error = await expectCode(openApp(place.url, { migrations: undefined, migrate }), 'SCHEMA_MISMATCH')
      expect(error.message).toMatch(/has no table links.*drizzle-kit generate/)
    }
    expect(await dump(place)).toEqual(empty)
    await (await openApp(place.url)).close()
    await place.ask('ALTER TABLE sites DROP COLUMN plan')
    const before = await whole(place)
    for (const migrate of ['apply', 'check'] as const)
      expect((await expectCode(openApp(place.url, { migrate }), 'SCHEMA_MISMATCH')).message).toContain('no column plan')
    expect(await whole(place)).toEqual(before)
  })

  test('gets triggers and descriptions back that it has lost', async () => {
    await using place = await open()
    await (await openApp(place.url)).close()
    const before = await whole(place)
    await place.ask(dropTrigger('links', 'links_log_update'))
    await place.ask("DELETE FROM meshstore_state WHERE name = 'table:sites'")
    const error = await expectCode(openApp(place.url, { migrate: 'check' }), 'SCHEMA_MISMATCH')
    expect(error.message).toMatch(/links has lost links_log_update; sites is not described/)
    await (await openApp(place.url)).close()
    expect(await whole(place)).toEqual(before)
  })

  test('that has lost triggers says so while it is open. The next open serves no path of before, and changes are missed', async () => {
    await using place = await open()
    await using store = await openApp(place.url)
    expect((await store.health()).problems).toEqual([])
    await store.tables.links.create(link('l'))
    const paths = [pathKey('a', 'x'), pathKey('x', 'y')]
    for (const key of paths) await store.pathCache.set(key, bundle(key.source, key.destination))
    await using changes = store.changes()
    await changes.ready()

    for (const name of ['links_log_update', 'links_mark_update']) await place.ask(dropTrigger('links', name))
    const [problem] = (await store.health()).problems
    expect(problem?.code).toBe('SCHEMA_MISMATCH')
    expect(problem?.message).toContain('links has lost links_log_update, links_mark_update')
    await store.tables.links.update('l', { cost: 2 })
    await (await openApp(place.url)).close()
    expect((await store.health()).problems).toEqual([])
    for (const key of paths) expect(await store.pathCache.get(key)).toBeUndefined()
    await expectCode(changes.next(), 'CHANGES_MISSED')
  })

  test.each([
    ['fails', 'CREATE TABLE more (a text);--> statement-breakpoint\nnonsense', /0001_more.sql failed, and nothing/],
    [
      'changes nodes',
      'ALTER TABLE nodes ADD COLUMN site text',
      /0001_more.sql changes nodes, which is a table of meshstore/,
    ],
    ['drops a trigger of ours', dropTrigger('policies', 'policies_log_insert'), /changes policies/],
    [
      'deletes rows and then drops policies',
      'DELETE FROM links;--> statement-breakpoint\nDROP TABLE policies',
      /0001_more.sql changes policies, which is a table of meshstore/,
    ],
    ['leaves orphans', 'DROP TABLE sites', orphans],
  ])('a migration that %s leaves nothing', async (_, sql, message) => {
    using folder = temporaryFolder()
    await using place = await open()
    const store = await openApp(place.url)
    await store.tables.sites.createMany([
      { siteId: 's', name: 'one' },
      { siteId: 't', name: 'two' },
    ])
    await store.tables.links.create(link('l', { siteId: 's' }))
    await store.close()
    const before = await whole(place)
    const opening = openApp(place.url, { migrations: withMigration(folder.path, sql) })
    const error = await opening.catch((each: unknown) => each)
    expect(error).toBeInstanceOf(StorageError)
    expect((error as StorageError).message).toMatch(message)
    expect(await whole(place)).toEqual(before)
    expect(await place.ask('SELECT link_id FROM links')).toHaveLength(1)
    await (await openApp(place.url)).close()
  })

  test.each([
    ['COMMIT', `UPDATE sites SET floors = floors + 100;\nCOMMIT;\nUPDATE sites SET nope = 1`],
    ['COMMIT', `UPDATE sites SET floors = floors + 100${BREAK}COMMIT${BREAK}UPDATE sites SET nope = 1`],
    ['BEGIN', `BEGIN${BREAK}UPDATE sites SET floors = floors + 100${BREAK}COMMIT`],
    ['ROLLBACK', `UPDATE sites SET floors = floors + 100; -- takes it back;\n /* so */ rollback`],
    ['START TRANSACTION', 'start /* a */ transaction'],
    ['RELEASE', `SELECT ';', ";" FROM sites;release meshstore_migration`],
    ['END', 'UPDATE sites SET floors = CASE WHEN floors = 1 THEN 2 ELSE 3 END; END TRANSACTION'],
  ])('refuses %s in a migration of the application before anything is run', async (control, sql) => {
    using folder = temporaryFolder()
    await using place = await open()
    const store = await openApp(place.url)
    await store.tables.sites.create({ siteId: 's', name: 'one', floors: 1 })
    await store.close()
    const before = await whole(place)
    const migrations = withMigration(folder.path, sql)
    for (const _ of ['once', 'again']) {
      const error = await expectCode(openApp(place.url, { migrations }), 'SCHEMA_MISMATCH')
      expect(error.message).toContain(`0001_more.sql has ${control}, which`)
    }
    expect(await runCommand(['migrate', 'up', '--url', place.url, '--migrations', migrations])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(`has ${control}`),
    })
    expect(await whole(place)).toEqual(before)
    expect(await place.ask('SELECT floors FROM sites')).toEqual([{ floors: 1 }])
  })

  test('applies a migration whose bodies have BEGIN and END', async () => {
    using folder = temporaryFolder()
    await using place = await open()
    const body =
      dialect === 'sqlite'
        ? `CREATE TRIGGER named AFTER INSERT ON sites BEGIN
             UPDATE sites SET floors = CASE WHEN floors > 1 THEN 2 ELSE 3 END;
             UPDATE sites SET floors = floors + 1; END; SELECT 1`
        : `CREATE FUNCTION named() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END; SELECT 1;
           DO $$ BEGIN PERFORM 1; END $$; DO $of$ BEGIN PERFORM '; COMMIT'; END; $of$`
    const text = `INSERT INTO sites (site_id, name, floors) VALUES ('s; COMMIT; "', 'it''s; COMMIT', 1)`
    const store = await openApp(place.url, { migrations: withMigration(folder.path, `${text};\n${body}`) })
    expect(await store.tables.sites.count({})).toBe(1)
    await store.close()
  })

  // A view's column with the name of a keyword hides what follows it.
  test.each([
    ['a COMMIT', 'CREATE VIEW v AS SELECT 1 AS begin; COMMIT'],
    ['a COMMIT and a BEGIN', 'CREATE VIEW v AS SELECT 1 AS begin; COMMIT; BEGIN'],
    ['a COMMIT and a mistake', 'CREATE VIEW v AS SELECT 1 AS begin; COMMIT; SELECT nope FROM sites'],
    ['a COMMIT, a BEGIN and a mistake', 'CREATE VIEW v AS SELECT 1 AS begin; COMMIT; BEGIN; SELECT nope FROM sites'],
    ['a ROLLBACK', 'CREATE VIEW v AS SELECT 1 AS begin; ROLLBACK'],
  ])('says that a migration has left its transaction: %s', async (_, sql) => {
    using folder = temporaryFolder()
    await using place = await open()
    await (await openApp(place.url)).close()
    const migrations = withMigration(folder.path, sql)
    const error = await expectCode(openApp(place.url, { migrations }), 'SCHEMA_MISMATCH')
    expect(error.message).toMatch(/0001_more.sql ended the transaction .* A part of it may be in the database/)
    expect(await place.ask(`SELECT hash FROM ${ledgers.own}`)).toHaveLength(1)
    await (await openApp(place.url)).close()
  })

  test('names what is wrong with a migration', async () => {
    using folder = temporaryFolder()
    await using place = await open()
    await (await openApp(place.url)).close()
    for (const [at, [sql, message]] of [
      ['UPDATE sites SET nope = 1', /0001_more.sql failed, and nothing of it happened: .*nope/],
      ['INSERT INTO sites VALUES (1', /nothing of it happened: .*(incomplete input|syntax error)/],
      ['UPDATE nowhere SET nope = 1', /nothing of it happened: .*nowhere/],
    ].entries() as ArrayIterator<[number, [string, RegExp]]>) {
      mkdirSync(join(folder.path, `${at}`))
      const migrations = withMigration(join(folder.path, `${at}`), sql)
      const error = await expectCode(openApp(place.url, { migrations }), 'SCHEMA_MISMATCH')
      expect(error.message).toMatch(message)
      expect(error.message).not.toMatch(/this version needs/)
    }
  })

  test('a foreign key with ON DELETE RESTRICT refuses like any other', async () => {
    using folder = temporaryFolder()
    await using place = await open()
    const rooms =
      'CREATE TABLE rooms (id text PRIMARY KEY NOT NULL, site_id text NOT NULL REFERENCES sites (site_id) ON DELETE RESTRICT)'
    const store = await openApp(place.url, { migrations: withMigration(folder.path, rooms) })
    await store.tables.sites.create({ siteId: 's', name: 'one' })
    await place.ask("INSERT INTO rooms VALUES ('r', 's')")
    const error = await expectCode(store.tables.sites.delete('s'), 'CONFLICT')
    expect(error.message).toMatch(/^sites "s": A constraint in the database refused/)
    await store.close()
  })

  test('follows the rules of migrations: edited, merged late, newer', async () => {
    using folder = temporaryFolder()
    await using place = await open()
    const more = withMigration(folder.path, 'CREATE TABLE more (a text PRIMARY KEY NOT NULL)')
    await (await openApp(place.url, { migrations: more })).close()
    // An older version of the application goes on.
    await (await openApp(place.url)).close()
    writeFileSync(join(more, dialect, '0001_more.sql'), 'CREATE TABLE other (a text)')
    const edited = await expectCode(openApp(place.url, { migrations: more }), 'MIGRATION_EDITED')
    expect(edited.message).toMatch(/0001_more.sql is not .* Bring the applied file back, from version control/)
    mkdirSync(join(folder.path, 'younger'))
    const without = withMigration(join(folder.path, 'younger'), 'SELECT 1', 1_950_000_000_000)
    const missing = await expectCode(openApp(place.url, { migrations: without }), 'MIGRATION_MISSING')
    expect(missing.message).toMatch(
      /of the application .*: one of 2030-\S+ with the hash [0-9a-f]{12}\. .*of the application that has it/,
    )
    mkdirSync(join(folder.path, 'late'))
    const late = withMigration(join(folder.path, 'late'), 'CREATE TABLE late (a text)', 1_800_000_000_000)
    await expectCode(openApp(place.url, { migrations: late }), 'MIGRATION_OUT_OF_ORDER')
  })

  test('with the migrations in the ledger of the library is mended', async () => {
    await using place = await open()
    await (await openApp(place.url)).close()
    const before = await whole(place)
    const { ours, own } = ledgers
    await place.ask(`INSERT INTO ${ours} (hash, created_at) SELECT hash, created_at FROM ${own}`)
    await place.ask(`DELETE FROM ${own}`)
    await (await openApp(place.url)).close()
    expect(await whole(place)).toEqual(before)
  })

  test('refuses folders and schemas that cannot be used', async () => {
    using folder = temporaryFolder()
    await using place = await open()
    const { url } = place
    const none = await expectCode(openApp(url, { migrations: folder.path }), 'CONFIG')
    expect(none.message).toMatch(/drizzle-kit generate/)
    await expectCode(openStorage({ url, tables: { links: {} } as never }), 'CONFIG')
    await expectCode(openStorage({ url, tables: { tables: { links: {} } } as never }), 'CONFIG')
  })
})

test('a file that is made by the open that migrates it is not backed up', async () => {
  using folder = temporaryFolder()
  await (await openApp(folder.file('mesh.db'))).close()
  expect(readdirSync(folder.path).filter((name) => name.includes('before'))).toEqual([])
})

test('the copy from before a migration is kept if the migration left its transaction, and not if it failed as a whole', async () => {
  using folder = temporaryFolder()
  const url = folder.file('mesh.db')
  const store = await openApp(url)
  await store.tables.sites.create({ siteId: 's', name: 'one' })
  await store.close()
  const copies = (): string[] => readdirSync(folder.path).filter((name) => /0001_more.*(?<!json)$/.test(name))
  for (const [name, sql, kept] of [
    ['fails', 'SELECT nope FROM sites', 0],
    ['leaves', 'CREATE VIEW v AS SELECT 1 AS begin; COMMIT', 1],
  ] as const) {
    mkdirSync(folder.file(name))
    await expectCode(openApp(url, { migrations: withMigration(folder.file(name), sql) }), 'SCHEMA_MISMATCH')
    expect(copies()).toHaveLength(kept)
  }
})

test('a file that has rows is backed up before a migration of the application', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const store = await openStorage(path)
  await store.nodes.create({ nodeId: 'n', interfaces: [], protocols: [] })
  await store.close()
  await (await openApp(path)).close()
  expect(readdirSync(folder.path).filter((name) => /0000_create_links/.test(name))).not.toEqual([])
})

describePostgres('a database on a server', () => {
  test('needs the twin for PostgreSQL', async () => {
    await using database = await createDatabase()
    const sites = schema({ sites: table({ sqlite: sqlite.sites, key: 'siteId' }) })
    await (await openApp(database.url)).close()
    await using store = await openStorage({ url: database.url, tables: sites })
    expect((await expectCode(store.tables.sites.get('s'), 'CONFIG')).message).toMatch(/sites has no twin on PostgreSQL/)
  })
})
