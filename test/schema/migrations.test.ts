import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { catalog, databaseOf, migrationsIn } from './catalog.ts'
import { type Dialect, dialects, differences, root, TreeCopy } from './tree-copy.ts'

interface Journal {
  entries: { idx: number; tag: string; when: number }[]
}
const folder = (dialect: Dialect) => join(root, 'migrations', dialect)
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const journal = (dialect: Dialect): Journal => readJson(join(folder(dialect), 'meta/_journal.json'))
const number = (idx: number) => String(idx).padStart(4, '0')

const exported = readFileSync(join(root, 'drizzle/sqlite.sql'), 'utf8')
const migrations = migrationsIn(root)

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

    it('end their lines as on every machine', () => {
      for (const { tag } of entries)
        expect(readFileSync(join(folder(dialect), `${tag}.sql`), 'utf8')).not.toContain('\r')
    })
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
})
