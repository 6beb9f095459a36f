import { join } from 'node:path'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { migrate } from 'drizzle-orm/better-sqlite3/migrator'
import { describe, expect, it } from 'vitest'
import { ofMany } from '../support/bounds.ts'
import { catalog, databaseOf, migrationsIn, triggers } from './catalog.ts'
import { dialects, differences, migrationsOf, root, TreeCopy } from './tree-copy.ts'

const lastTag = (copy: TreeCopy, dialect: string): string =>
  JSON.parse(copy.read(`migrations/${dialect}/meta/_journal.json`)).entries.at(-1).tag

const addColumn = (copy: TreeCopy, twin: 'sqlite' | 'postgres') =>
  copy.edit(`src/schema/${twin}.ts`, "value: text('value').notNull(),", "$&\n  note: text('note'),")

type Refused = [what: string, args: string[], spoil: (copy: TreeCopy) => void, message: RegExp]

const REFUSED: readonly Refused[] = [
  ['a change without a name', [], (copy) => addColumn(copy, 'sqlite'), /sqlite schema changed.*--name/],
  ['a name that is no file name', ['--name', '../x'], () => {}, /--name/],
  ['a misspelt option', ['--nmae', 'x'], () => {}, /--nmae/],
  ['--custom without a name', ['--custom'], () => {}, /--name/],
  ['--breaking without a name', ['--breaking', 'why'], () => {}, /--name/],
  ['--breaking without a reason', ['--breaking', ' ', '--name', 'x'], () => {}, /reason/],
  ['--breaking when there is nothing to mark', ['--breaking', 'why', '--name', 'x'], () => {}, /--custom/],
  [
    '--custom while the schema changed',
    ['--custom', '--name', 'x'],
    (copy) => addColumn(copy, 'postgres'),
    /postgresql schema changed/,
  ],
  [
    'folders that differ',
    ['--name', 'x'],
    (copy) => copy.edit('migrations/sqlite/meta/_journal.json', 'create_tables', 'create_table'),
    /no twins[\s\S]*create_table\b/,
  ],
]

/** drizzle-kit itself refuses these, which takes its time. */
const REFUSED_BY_DRIZZLE_KIT: readonly Refused[] = [
  [
    'a schema that cannot be loaded',
    ['--name', 'x'],
    (copy) => copy.edit('src/schema/postgres.ts', 'pgTable(', 'pgTabel('),
    /exported no postgresql schema/,
  ],
  [
    'a question, whether a column was renamed, when there is no terminal to ask on',
    ['--name', 'x'],
    (copy) => copy.edit('src/schema/sqlite.ts', "value: text('value')", "content: text('content')"),
    /no migration for sqlite/,
  ],
]

describe('db:generate', () => {
  it('writes nothing new when nothing changed', async () => {
    using copy = new TreeCopy()
    const before = copy.generated()
    const { code, stdout } = await copy.dbGenerate()
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('has not changed') })
    expect(copy.generated()).toEqual(before)
  })

  it('says what there is', async () => {
    using copy = new TreeCopy()
    const before = copy.generated()
    const help = await copy.dbGenerate('--help')
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining('--breaking') })
    expect(await copy.dbGenerate('--nope')).toMatchObject({ code: 1, stderr: expect.stringContaining('See --help.') })
    expect(copy.generated()).toEqual(before)
  })

  it('marks what breaks older code, in both dialects, with the reason', async () => {
    using copy = new TreeCopy()
    addColumn(copy, 'sqlite')
    const reason = "it's gone: 'k'; DROP TABLE nodes"
    expect(await copy.dbGenerate('--name', 'add_note', '--breaking', reason)).toMatchObject({ code: 0 })
    expect(await differences(copy)).toEqual([])
    const db = databaseOf(...migrationsIn(copy.root))
    const marks = db.prepare("SELECT name, value FROM meshstore_state WHERE name LIKE 'breaking:%'").raw().all()
    expect(marks.at(-1)).toEqual([`breaking:${lastTag(copy, 'sqlite')}`, reason])
    const [sqlite, postgresql] = dialects.map((dialect) => migrationsOf(copy)[dialect].at(-1)?.sql.split('\n').at(-2))
    expect(sqlite).toContain(`'breaking:${lastTag(copy, 'sqlite')}'`)
    expect(postgresql).toBe(sqlite)
  })

  it('writes both dialects under one name, and the export', async () => {
    using copy = new TreeCopy()
    addColumn(copy, 'sqlite')
    addColumn(copy, 'postgres')
    // SQLite cannot change a CHECK: the table is built anew.
    copy.edit('src/schema/sqlite.ts', '>= 1`', '>= 2`')
    expect(await copy.dbGenerate('--name', 'add_note')).toMatchObject({ code: 0 })
    for (const dialect of dialects) {
      expect(lastTag(copy, dialect)).toMatch(/^\d{4}_add_note$/)
      expect(copy.read(`migrations/${dialect}/${lastTag(copy, dialect)}.sql`)).toMatch(/ALTER TABLE .* ADD .*note/)
      expect(copy.read(`drizzle/${dialect}.sql`)).toMatch(/.note. text/)
    }
    expect(lastTag(copy, 'sqlite')).toBe(lastTag(copy, 'postgresql'))

    const migrated = databaseOf(...migrationsIn(copy.root))
    expect(catalog(migrated)).toEqual(catalog(databaseOf(copy.read('drizzle/sqlite.sql'))))
    expect(catalog(migrated).path_cache).toContainEqual(expect.stringContaining('>= 2'))
    // It loses its triggers by that, and they are made again.
    expect(triggers(migrated)).toEqual(triggers(databaseOf(...migrationsIn(root))))
    expect(triggers(databaseOf(copy.read('drizzle/sqlite.sql')))).toEqual(triggers(migrated))
  })

  it('keeps the numbers equal when one dialect changed', async () => {
    using copy = new TreeCopy()
    addColumn(copy, 'postgres')
    expect(await copy.dbGenerate('--name', 'add_note')).toMatchObject({ code: 0 })
    const tag = lastTag(copy, 'postgresql')
    expect(lastTag(copy, 'sqlite')).toBe(tag)
    expect(copy.read(`migrations/sqlite/${tag}.sql`)).toMatch(/^-- Nothing changes here\.\nSELECT 1;\n/)
    expect(await differences(copy)).toEqual([])

    const db = new Database(':memory:')
    migrate(drizzle(db), { migrationsFolder: join(copy.root, 'migrations/sqlite') })
    expect(db.prepare('SELECT count(*) FROM __drizzle_migrations').pluck().get()).toBe(Number(tag.slice(0, 4)) + 1)
  })

  it('writes empty ones for SQL by hand, dated behind the ones before whatever the clock says', async () => {
    using copy = new TreeCopy()
    const journal = (dialect: string) => `migrations/${dialect}/meta/_journal.json`
    const last = (dialect: string) => JSON.parse(copy.read(journal(dialect))).entries.at(-1)
    const future = 4_000_000_000_000
    for (const dialect of dialects) copy.edit(journal(dialect), String(last(dialect).when), String(future))

    expect(await copy.dbGenerate('--name', 'fill_note', '--custom')).toMatchObject({ code: 0 })
    for (const dialect of dialects) {
      expect(last(dialect)).toMatchObject({ tag: lastTag(copy, 'sqlite'), when: future + 1_000 })
      expect(copy.read(`migrations/${dialect}/${last(dialect).tag}.sql`)).toMatch(
        /^-- Write .*\nSELECT 1;\n--> statement-breakpoint\n.*'migration:4000000001000'.*\n$/,
      )
    }
  })

  it.each([...REFUSED, ...ofMany(REFUSED_BY_DRIZZLE_KIT, [])])(
    'refuses %s, and changes nothing',
    async (_, args, spoil, message) => {
      using copy = new TreeCopy()
      spoil(copy)
      const before = copy.generated()
      const { code, stderr } = await copy.dbGenerate(...args)
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(message) })
      expect(copy.generated()).toEqual(before)
    },
  )
})
