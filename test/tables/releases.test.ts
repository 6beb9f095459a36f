/** Two releases of an application on one database, as during a rolling deploy: the older one takes nothing from the newer one. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, inject, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import * as entry from '../../src/tables-entry.ts'
import * as postgres from '../../src/tables-postgres-entry.ts'
import * as sqlite from '../../src/tables-sqlite-entry.ts'
import { runCommand } from '../cli/support/command.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, pathKey } from '../support/samples.ts'

/** The first release: a table of racks. */
const older = entry.schema({
  racks: entry.table({
    sqlite: sqlite.sqliteTable('racks', {
      id: sqlite.text('id').primaryKey().notNull(),
      node: sqlite.text('node'),
    }),
    postgres: postgres.pgTable('racks', {
      id: postgres.text('id').primaryKey().notNull(),
      node: postgres.text('node'),
    }),
    key: 'id',
  }),
})

/** The second one adds columns, and invalidates paths. */
const newer = entry.schema({
  racks: entry.table({
    sqlite: sqlite.sqliteTable('racks', {
      region: sqlite.text('region'),
      id: sqlite.text('id').primaryKey().notNull(),
      node: sqlite.text('node'),
      room: sqlite.text('room').notNull().default('hall'),
    }),
    postgres: postgres.pgTable('racks', {
      region: postgres.text('region'),
      id: postgres.text('id').primaryKey().notNull(),
      node: postgres.text('node'),
      room: postgres.text('room').notNull().default('hall'),
    }),
    key: 'id',
    invalidates: { through: ['node'], columns: ['node', 'room'] },
  }),
})

const FIRST = 'CREATE TABLE racks (id text PRIMARY KEY NOT NULL, node text)'
const SECOND = [
  'ALTER TABLE racks ADD COLUMN region text',
  "ALTER TABLE racks ADD COLUMN room text DEFAULT 'hall' NOT NULL",
]

interface Place extends AsyncDisposable {
  readonly url: string
  readonly ask: (sql: string) => Promise<Readonly<Record<string, unknown>>[]>
}

const onFile = async (): Promise<Place> => {
  const folder = temporaryFolder()
  const url = folder.file('mesh.db')
  return {
    url,
    ask: async (sql) => {
      const raw = new Sqlite(url)
      try {
        const statement = raw.prepare<[], Readonly<Record<string, unknown>>>(sql)
        if (statement.reader) return statement.all()
        statement.run()
        return []
      } finally {
        raw.close()
      }
    },
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  }
}
const onServer = async (): Promise<Place> => {
  const database = await createDatabase()
  return {
    url: database.url,
    ask: (sql) => database.query(sql),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  }
}
/** The set-up has said loudly what is not tested if there is no server. */
const places = [
  { name: 'a file', dialect: 'sqlite', open: onFile },
  ...(inject('postgresUrl') === '' ? [] : [{ name: 'a server', dialect: 'postgresql', open: onServer }]),
]

/** The folder of migrations of a release. */
function released(folder: string, dialect: string, ...texts: readonly string[]): string {
  const migrations = join(folder, `release-${texts.length}`)
  const entries = texts.map((_, idx) => ({
    idx,
    version: '6',
    when: 1_900_000_000_000 + idx,
    tag: `000${idx}_m`,
    breakpoints: true,
  }))
  const file = join(migrations, dialect, 'meta/_journal.json')
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, JSON.stringify({ version: '7', dialect, entries }))
  for (const [idx, sql] of texts.entries()) writeFileSync(join(migrations, dialect, `000${idx}_m.sql`), sql)
  return migrations
}

describe.each(places)('on $name', ({ open, dialect }) => {
  const DESCRIBED = "SELECT name, value FROM meshstore_state WHERE name LIKE 'table:%' ORDER BY name"

  const both = async (place: Place): Promise<void> => {
    await (await openStorage(place.url)).close()
    await place.ask(FIRST)
    await (await openStorage({ url: place.url, tables: older })).close()
    for (const sql of SECOND) await place.ask(sql)
    await (await openStorage({ url: place.url, tables: newer })).close()
  }

  test.each(['apply', 'check', 'skip'] as const)(
    'an older one that opens with migrate: %s changes nothing',
    async (migrate) => {
      await using place = await open()
      await both(place)
      const before = await place.ask(DESCRIBED)
      await using old = await openStorage({ url: place.url, tables: older, migrate })
      expect((await old.health()).problems).toEqual([])
      await old.tables.racks.create({ id: 'old', node: 'n' })
      expect(await place.ask(DESCRIBED)).toEqual(before)
      await using store = await openStorage({ url: place.url, tables: newer, migrate: 'check' })
      expect((await store.health()).problems).toEqual([])
      expect(await store.tables.racks.get('old')).toMatchObject({ room: 'hall', region: null })
    },
  )

  test('paths are invalidated on, and columns are in backups, after an older one has opened it', async () => {
    using folder = temporaryFolder()
    await using place = await open()
    await both(place)
    await using store = await openStorage({ url: place.url, tables: newer })
    await store.tables.racks.create({ id: 'r', node: 'n', region: 'north' })
    await using old = await openStorage({ url: place.url, tables: older })
    await store.pathCache.set(pathKey('n', 'm'), bundle('n', 'm'))
    await old.tables.racks.update('r', { node: 'other' })
    expect(await store.pathCache.get(pathKey('n', 'm'))).toBeUndefined()

    const { file } = await old.backup(folder.file('backup.sqlite'))
    const raw = new Sqlite(file, { readonly: true })
    expect(raw.prepare('SELECT id, node, region, room FROM racks').all()).toEqual([
      { id: 'r', node: 'other', region: 'north', room: 'hall' },
    ])
    raw.close()
  })

  test('what a release drops from its schema stays described while the column is there', async () => {
    await using place = await open()
    await both(place)
    await place.ask('ALTER TABLE racks DROP COLUMN region')
    await (await openStorage({ url: place.url, tables: older })).close()
    const [row] = await place.ask(DESCRIBED)
    const { columns, invalidates } = JSON.parse(String(row?.value))
    expect(columns.map(({ name }: { name: string }) => name).toSorted()).toEqual(['id', 'node', 'room'])
    expect(invalidates).toMatchObject({ paths: 'through', through: ['node'] })
    expect(invalidates.columns).toEqual(['node', 'room'])
    await expectCode(openStorage({ url: place.url, tables: newer }), 'SCHEMA_MISMATCH')
  })

  test('a column that must be given is refused', async () => {
    await using place = await open()
    await both(place)
    const sql =
      dialect === 'sqlite'
        ? "ALTER TABLE racks ADD COLUMN door text NOT NULL DEFAULT ''"
        : 'ALTER TABLE racks ADD COLUMN door text NOT NULL'
    await place.ask(sql)
    const opening = openStorage({ url: place.url, tables: older })
    if (dialect === 'sqlite') await (await opening).close()
    else
      expect((await expectCode(opening, 'SCHEMA_MISMATCH')).message).toContain(
        'a column door that table() does not describe',
      )
  })

  test('a table that a migration drops is described no more, and one that it renames is followed under its new name alone', async () => {
    using folder = temporaryFolder()
    await using place = await open()
    const first = [FIRST, 'CREATE TABLE audit (id text PRIMARY KEY NOT NULL)']
    const named = (name: string) =>
      entry.table({
        sqlite: sqlite.sqliteTable(name, { id: sqlite.text('id').primaryKey().notNull() }),
        postgres: postgres.pgTable(name, { id: postgres.text('id').primaryKey().notNull() }),
        key: 'id',
      })
    const before = entry.schema({ racks: older.tables.racks, audit: named('audit'), shelves: named('shelves') })
    const shelves = 'CREATE TABLE shelves (id text PRIMARY KEY NOT NULL)'
    const texts = [[...first, shelves].join(';--> statement-breakpoint\n')]
    await (
      await openStorage({ url: place.url, tables: before, migrations: released(folder.path, dialect, ...texts) })
    ).close()

    texts.push('DROP TABLE audit;--> statement-breakpoint\nALTER TABLE shelves RENAME TO boards')
    const after = entry.schema({ racks: older.tables.racks, boards: named('boards') })
    const migrations = released(folder.path, dialect, ...texts)
    await using store = await openStorage({ url: place.url, tables: after, migrations })
    expect((await place.ask(DESCRIBED)).map(({ name }) => name)).toEqual(['table:boards', 'table:racks'])
    expect((await store.health()).problems).toEqual([])
    await using changes = store.changes()
    await changes.ready()
    await store.tables.boards.create({ id: 'b' })
    await store.tables.racks.create({ id: 'r', node: 'n' })
    const heard = [await changes.next(), await changes.next()].map(({ value }) => value?.table)
    expect(heard).toEqual(['boards', 'racks'])
    const { stdout } = await runCommand(['check', place.url, '--json'])
    expect(stdout).not.toMatch(/audit|shelves/)
  })
})
