import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { moduleOf } from '../../scripts/build/migrations.ts'
import { shipped } from '../../src/migrator/shipped.ts'
import { catalog, databaseOf, migrationsIn, triggers } from './catalog.ts'
import released from './released.json' with { type: 'json' }
import { type Dialect, dialects, differences, root, run, TreeCopy } from './tree-copy.ts'

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

    it('are what the library applies, and what a build puts in its place, to the letter', async () => {
      const files = entries.map(({ tag, when }) => {
        const sql = sqlOf(dialect, tag)
        return { tag, when, hash: createHash('sha256').update(sql).digest('hex'), sql }
      })
      expect(shipped(dialect)).toEqual(files)
      const built = await import(`data:text/javascript,${encodeURIComponent(moduleOf(join(root, 'migrations')))}`)
      expect(built.shipped(dialect)).toEqual(files)
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
    expect(triggers(databaseOf(...migrations))).toEqual(triggers(databaseOf(exported)))
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

  it('must be twins: after drizzle-kit generate, which writes one folder alone, opening says what to run instead', async () => {
    using copy = new TreeCopy()
    copy.edit('src/schema/sqlite.ts', "value: text('value').notNull(),", "$&\n  note: text('note'),")
    expect(await copy.drizzleKit('sqlite', 'generate', '--name', 'add_note')).toMatchObject({ code: 0 })
    const open = `import { openStorage } from './src/index.ts'
      await openStorage('sqlite:./mesh.db').catch(({ code, message }) => console.log(code + ': ' + message))`
    copy.write('open.ts', open)
    expect((await run(copy.root, 'open.ts', [])).stdout).toMatch(
      /^SCHEMA_MISMATCH: Only one dialect has the migration \d{4}_add_note, .*npm run db:generate/,
    )
    for (const dialect of dialects)
      expect(() => shipped(dialect, join(copy.root, 'migrations'))).toThrow(
        expect.objectContaining({ code: 'SCHEMA_MISMATCH' }),
      )
  })
})
