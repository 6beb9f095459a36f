import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SHIPPED } from '../../src/migrator/shipped.ts'
import { catalog, databaseOf, migrationsIn } from './catalog.ts'
import released from './released.json' with { type: 'json' }
import { type Dialect, dialects, differences, isShipped, root, SHIPPED as SHIPPED_FILE, TreeCopy } from './tree-copy.ts'

interface Journal {
  entries: { idx: number; tag: string; when: number }[]
}
const folder = (dialect: Dialect) => join(root, 'migrations', dialect)
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const journal = (dialect: Dialect): Journal => readJson(join(folder(dialect), 'meta/_journal.json'))
const sqlOf = (dialect: Dialect, tag: string) => readFileSync(join(folder(dialect), `${tag}.sql`), 'utf8')
const number = (idx: number) => String(idx).padStart(4, '0')

/** Every mark that older code would find in the database afterwards. */
const marksIn = (sql: string) =>
  [...sql.matchAll(/'breaking:([^']*)'\s*,\s*'((?:[^']|'')*)'/g)].map(([, tag = '', reason = '']) => ({ tag, reason }))

const exported = readFileSync(join(root, 'drizzle/sqlite.sql'), 'utf8')
const migrations = migrationsIn(root)
const FIRST = 'migrations/postgresql/0000_create_tables.sql'

describe('the migrations', () => {
  it('have the same numbers and names in both dialects', () => {
    const [sqlite, postgresql] = dialects.map((dialect) => journal(dialect).entries.map(({ tag }) => tag))
    expect(sqlite).not.toHaveLength(0)
    expect(postgresql).toEqual(sqlite)
  })

  describe.each(dialects)('of %s', (dialect) => {
    const { entries } = journal(dialect)

    it('are numbered without a gap, and each seems younger than the one before', () => {
      expect(entries.map(({ idx }) => idx)).toEqual(entries.map((_, position) => position))
      for (const { idx, tag } of entries) expect(tag).toMatch(new RegExp(`^${number(idx)}_[a-z0-9_]+$`))
      for (const [position, { when }] of entries.entries())
        expect(when).toBeGreaterThan(entries[position - 1]?.when ?? 0)
    })

    it('are the files of the folder, no more and no less', () => {
      const files = readdirSync(folder(dialect)).filter((name) => name !== 'meta')
      expect(files.sort()).toEqual(entries.map(({ tag }) => `${tag}.sql`))
      const snapshots = readdirSync(join(folder(dialect), 'meta')).filter((name) => name !== '_journal.json')
      expect(snapshots.sort()).toEqual(entries.map(({ idx }) => `${number(idx)}_snapshot.json`))
    })

    it('follow from one another', () => {
      const ids = entries.map(({ idx }) => readJson(join(folder(dialect), 'meta', `${number(idx)}_snapshot.json`)))
      expect(ids.slice(1).map(({ prevId }) => prevId)).toEqual(ids.slice(0, -1).map(({ id }) => id))
    })

    it('are what the library applies: src/migrator/shipped.ts has the same, to the letter', () => {
      const files = entries.map(({ tag, when }) => {
        const sql = sqlOf(dialect, tag)
        return { tag, when, hash: createHash('sha256').update(sql).digest('hex'), sql }
      })
      expect(SHIPPED[dialect], 'npm run db:generate writes it again').toEqual(files)
    })

    // After a release: add `"<tag>": "<sha256 of the file>"` to released.json, for both dialects, and never change a line.
    it('are as they were released, and none of those is gone', () => {
      const hashes = entries.map(({ tag }) => [tag, createHash('sha256').update(sqlOf(dialect, tag)).digest('hex')])
      const known: Record<string, string> = released[dialect]
      const found = Object.fromEntries(hashes.filter(([tag = '']) => tag in known))
      expect(
        found,
        `A released migration was changed or removed. Databases have it applied: bring the file back, and make the
change in a new migration (npm run db:generate -- --name …). Only a release adds to test/schema/released.json:
the tag and \`sha256sum migrations/${dialect}/<tag>.sql\`, for both dialects.`,
      ).toEqual(known)
      // The released ones come first: what follows may still be generated anew.
      expect(entries.slice(0, Object.keys(known).length).map(({ tag }) => tag)).toEqual(Object.keys(known))
    })

    it('name themselves where they are marked as breaking, and say why', () => {
      for (const { tag } of entries)
        for (const mark of marksIn(sqlOf(dialect, tag))) {
          expect(mark.tag).toBe(tag)
          expect(mark.reason.trim()).not.toBe('')
        }
    })

    it('end their lines as on every machine', () => {
      for (const { tag } of entries)
        expect(readFileSync(join(folder(dialect), `${tag}.sql`), 'utf8')).not.toContain('\r')
    })
  })

  it('were released in pairs', () => {
    expect(Object.keys(released.postgresql)).toEqual(Object.keys(released.sqlite))
  })

  it('are breaking in both dialects or in none', () => {
    const [sqlite, postgresql] = dialects.map((dialect) =>
      journal(dialect).entries.map(({ tag }) => ({ tag, marks: marksIn(sqlOf(dialect, tag)) })),
    )
    expect(postgresql).toEqual(sqlite)
  })

  it('add up to drizzle/sqlite.sql', () => {
    const expected = catalog(databaseOf(exported))
    expect(Object.keys(expected)).toEqual(
      expect.arrayContaining(['nodes', 'policies', 'path_cache', 'idx_nodes_started']),
    )
    expect(catalog(databaseOf(...migrations))).toEqual(expected)
  })

  it.each([
    ['a column more', 'ALTER TABLE nodes ADD COLUMN region text'],
    ['an index less', 'DROP INDEX idx_cache_expires'],
    ['a column of another name', 'ALTER TABLE policies RENAME COLUMN rules_count TO rules'],
  ])('would not, with %s', (_, change) => {
    expect(catalog(databaseOf(...migrations, change))).not.toEqual(catalog(databaseOf(exported)))
  })

  it('would not, with another CHECK', () => {
    expect(exported).toContain('"path_cache"."k" >= 1')
    const other = exported.replace('"path_cache"."k" >= 1', '"path_cache"."k" >= 2')
    expect(catalog(databaseOf(...migrations))).not.toEqual(catalog(databaseOf(other)))
  })
})

describe('schema, migrations and export', () => {
  it('are the same', async () => {
    using copy = new TreeCopy()
    expect(await differences(copy)).toEqual([])
    expect(existsSync(join(copy.root, 'mesh.db'))).toBe(false)
  })

  it('differ when a column changed', async () => {
    using copy = new TreeCopy()
    for (const twin of ['sqlite', 'postgres'])
      copy.edit(`src/schema/${twin}.ts`, "integer('rules_count').notNull()", "integer('rules_count')")
    expect(await differences(copy)).toEqual([
      'migrations/sqlite',
      'drizzle/sqlite.sql',
      'migrations/postgresql',
      'drizzle/postgresql.sql',
    ])
  })

  it('differ when shipped.ts was edited, until it is generated again', async () => {
    using copy = new TreeCopy()
    copy.edit(SHIPPED_FILE, 'CREATE TABLE', 'CREATE  TABLE')
    expect(await differences(copy)).toEqual([SHIPPED_FILE])
    expect(await copy.dbGenerate()).toMatchObject({ code: 0 })
    expect(isShipped(copy)).toBe(true)
  })

  it.each<[string, (copy: TreeCopy) => void]>([
    ['a file was changed', (copy) => copy.edit(FIRST, 'CREATE TABLE', 'CREATE  TABLE')],
    ['a journal was changed', (copy) => copy.edit('migrations/sqlite/meta/_journal.json', '"when": ', '"when": 1')],
    ['one is missing there', (copy) => copy.write(SHIPPED_FILE, 'const S = { "sqlite": [], "postgresql": [] }')],
  ])('differ when shipped.ts was not written again: %s', (_, change) => {
    using copy = new TreeCopy()
    expect(isShipped(copy)).toBe(true)
    change(copy)
    expect(isShipped(copy)).toBe(false)
  })
})
