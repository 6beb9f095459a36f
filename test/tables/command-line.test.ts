/** The command line on own tables: what it writes for them, shows of them, and finds wrong with them. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { drizzle as drizzleSqlite } from 'drizzle-orm/better-sqlite3'
import { migrate as migrateSqlite } from 'drizzle-orm/better-sqlite3/migrator'
import { drizzle as drizzlePostgres } from 'drizzle-orm/node-postgres'
import { migrate as migratePostgres } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { check as checkDatabase } from '../../src/check/index.ts'
import { openStorage } from '../../src/index.ts'
import { cascadesIn } from '../../src/migrator/own-cascades.ts'
import { runCommand } from '../cli/support/command.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { migrations } from './app/schema.ts'
import { link, openApp } from './app/stages.ts'

const SCHEMA = join(import.meta.dirname, 'app/schema.ts')

interface Database {
  readonly url: string
  /** Runs SQL past the library. */
  run(sql: string): Promise<unknown>
  /** As drizzle-kit migrate does. */
  migrate(folder: string): Promise<unknown>
}

async function onSqlite(work: (database: Database) => Promise<void>): Promise<void> {
  using folder = temporaryFolder()
  const url = folder.file('mesh.db')
  const run = async (sql: string): Promise<void> => {
    const raw = new Sqlite(url)
    raw.exec(sql)
    raw.close()
  }
  const migrate = async (migrationsFolder: string): Promise<void> => {
    const raw = new Sqlite(url)
    migrateSqlite(drizzleSqlite(raw), {
      migrationsFolder: join(migrationsFolder, 'sqlite'),
      migrationsTable: '__app_migrations',
    })
    raw.close()
  }
  await work({ url, run, migrate })
}

async function onPostgres(work: (database: Database) => Promise<void>): Promise<void> {
  await using database = await createDatabase()
  const { url } = database
  const client = new pg.Client(url)
  await client.connect()
  try {
    const migrate = (migrationsFolder: string): Promise<unknown> =>
      migratePostgres(drizzlePostgres(client), {
        migrationsFolder: join(migrationsFolder, 'postgresql'),
        migrationsTable: '__app_migrations',
      })
    await work({ url, migrate, run: (sql) => client.query(sql) })
  } finally {
    await client.end()
  }
}

const json = async (...args: string[]) => JSON.parse((await runCommand([...args, '--json'])).stdout)

function suite(on: typeof onSqlite, dialect: 'sqlite' | 'postgresql'): void {
  test('migrate generate writes what drizzle-kit leaves out, once', () =>
    on(async ({ url, migrate }) => {
      using folder = temporaryFolder()
      const copy = folder.file('drizzle')
      cpSync(migrations, copy, { recursive: true })
      const generate = (...more: string[]) =>
        json('migrate', 'generate', '--schema', SCHEMA, '--migrations', copy, ...more)
      await (await openStorage(url)).close()

      const dry = await generate('--dry-run')
      expect(dry.generated).toMatchObject([
        { dialect: 'sqlite', tables: ['links', 'sites'] },
        { dialect: 'postgresql', tables: ['links', 'sites'] },
      ])
      expect(readdirSync(join(copy, dialect))).toEqual(readdirSync(join(migrations, dialect)))
      await migrate(copy)
      // The control: without the migration a role without rights to the schema cannot open the database.
      await expectCode(openApp(url, { migrate: 'check', migrations: copy }), 'SCHEMA_MISMATCH')

      const { generated } = await generate()
      expect(generated).toEqual(dry.generated)
      expect(generated[0].file).toBe(join(copy, 'sqlite/0001_meshstore.sql'))
      const journal = JSON.parse(readFileSync(join(copy, dialect, 'meta/_journal.json'), 'utf8'))
      expect(journal.entries).toMatchObject([{ idx: 0 }, { idx: 1, tag: '0001_meshstore' }])
      expect(journal.entries[1].when).toBeGreaterThan(journal.entries[0].when)
      const snapshot = (index: number) =>
        JSON.parse(readFileSync(join(copy, dialect, `meta/000${index}_snapshot.json`), 'utf8'))
      const { id, prevId, ...same } = snapshot(1)
      expect(prevId).toBe(snapshot(0).id)
      expect(id).not.toBe(prevId)
      expect(snapshot(0)).toMatchObject(same)
      expect((await generate()).generated).toEqual([
        { dialect: 'sqlite', tables: [] },
        { dialect: 'postgresql', tables: [] },
      ])

      await migrate(copy)
      await using store = await openApp(url, { migrate: 'check', migrations: copy })
      const changes = store.changes({})[Symbol.asyncIterator]()
      const next = changes.next()
      await store.pathCache.set(
        { source: 'a', destination: 'z', k: 1 },
        { source: 'a', destination: 'z', primary: [{ nodes: ['a', 'b', 'z'], latency_sum_ms: 1 }], alternatives: [] },
      )
      await store.tables.links.create(link('l', { source: 'b' }))
      expect(await store.pathCache.get({ source: 'a', destination: 'z', k: 1 })).toBeUndefined()
      await next
      await changes.return?.()
      expect((await checkDatabase(url)).findings.filter(({ check }) => check === 'schema')).toEqual([])
    }))

  test('migrate up applies the migrations of the application after those of the library, once', () =>
    on(async ({ url }) => {
      const up = async (...more: string[]): Promise<string[]> =>
        (await json('migrate', 'up', '--url', url, ...more)).applied.map(({ tag }: { tag: string }) => tag)
      expect((await up('--migrations', migrations)).slice(-2)).toEqual([expect.any(String), '0000_create_links'])
      expect(await up('--migrations', migrations)).toEqual([])
      await (await openApp(url)).close()
      const { code, stderr } = await runCommand(['migrate', 'up', '--url', url, '--migrations', '/nowhere'])
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: expect.stringContaining('names a folder without migrations'),
      })
    }))

  test('migrate status says what of the migrations of the application is applied and pending', () =>
    on(async ({ url, migrate }) => {
      using folder = temporaryFolder()
      const copy = folder.file('drizzle')
      cpSync(migrations, copy, { recursive: true })
      const args = ['migrate', 'status', '--url', url, '--migrations', copy]
      const status = async () => {
        const { code, stdout } = await runCommand([...args, '--json'])
        return { code, own: JSON.parse(stdout).ownMigrations }
      }
      await (await openStorage(url)).close()
      const none = { applied: [], pending: ['0000_create_links'], newer: [] }
      expect(await status()).toEqual({ code: 3, own: none })
      const before = await runCommand(args)
      expect(before.code).toBe(3)
      expect(before.stdout).toMatch(/^Every migration of Meshstore is applied\.\n/)
      expect(before.stdout).toContain("Pending of the application's own migrations:\n  0000_create_links\n")
      // The control: without the folder it knows of no migration that is pending.
      const without = await runCommand(['migrate', 'status', '--url', url])
      expect([without.code, without.stdout.split('\n')[0]]).toEqual([0, 'Every migration is applied.'])

      await migrate(copy)
      expect(await status()).toEqual({ code: 0, own: { applied: ['0000_create_links'], pending: [], newer: [] } })
      const after = await runCommand(args)
      expect(after.stdout).toMatch(/^Every migration is applied\.\n/)
      expect(after.stdout).toContain("Applied of the application's own migrations:\n  0000_create_links\n")

      const sql = join(copy, dialect, '0000_create_links.sql')
      writeFileSync(sql, `${readFileSync(sql, 'utf8')}\n`)
      const edited = await status()
      expect(edited).toMatchObject({ code: 4, own: { applied: [], problem: { code: 'MIGRATION_EDITED' } } })
      expect((await runCommand(args)).stdout).toContain('\nMIGRATION_EDITED: ')
      const nowhere = await runCommand(['migrate', 'status', '--url', url, '--migrations', '/nowhere'])
      expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining('names a folder without migrations') })
    }))

  test('a table that is made anew loses its triggers, and migrate generate writes them again', () =>
    on(async () => {
      using folder = temporaryFolder()
      const copy = folder.file('drizzle')
      cpSync(migrations, copy, { recursive: true })
      const args = ['migrate', 'generate', '--schema', SCHEMA, '--migrations', copy]
      await json(...args)
      const file = join(copy, dialect, 'meta/_journal.json')
      const journal = JSON.parse(readFileSync(file, 'utf8'))
      journal.entries.push({ ...journal.entries[1], idx: 2, when: journal.entries[1].when + 1, tag: '0002_anew' })
      writeFileSync(file, JSON.stringify(journal))
      writeFileSync(join(copy, dialect, '0002_anew.sql'), 'DROP TABLE `links`;--> statement-breakpoint\nSELECT 1;')
      const { generated } = await json(...args, '--name', 'again')
      expect(generated.find((each: { dialect: string }) => each.dialect === dialect)).toEqual({
        dialect,
        file: join(copy, dialect, '0003_again.sql'),
        tables: ['links'],
      })
    }))

  test('stats, inspect and check show own tables, and say what is wrong with them', () =>
    on(async ({ url, run }) => {
      await using store = await openApp(url)
      await store.nodes.create(node('gw-1'))
      await store.tables.links.createMany(
        Array.from({ length: 30 }, (_, index) => link(`l-${String(index).padStart(2, '0')}`, { tags: ['x'] })),
      )
      const { bytes } = await store.stats()
      await store.tables.sites.createMany(
        Array.from({ length: 2_000 }, (_, index) => ({ siteId: `s-${index}`, name: `${'n'.repeat(200)}${index}` })),
      )
      expect((await store.stats()).bytes - bytes, 'own tables count').toBeGreaterThan(400_000)
      expect(await json('stats', '--url', url)).toMatchObject({ ownTables: { links: 30, sites: 2_000 } })

      const { links } = await json('inspect', 'links', '--limit', '10', '--after', 'l-04', '--url', url)
      expect(links).toHaveLength(10)
      expect(links[0]).toMatchObject({ link_id: 'l-05', source: 'a', to: 'b', cost: 1, is_up: true, tags: ['x'] })
      const shown = (await runCommand(['inspect', 'links', '--limit', '29', '--url', url])).stdout
      expect(shown).toMatch(/^ {2}l-00 {2}source=a {2}to=b {2}cost=1 /)
      expect(shown).toContain('\n  … and more: --after "l-28"\n')
      const all = await json('inspect', '--url', url)
      expect(Object.keys(all)).toEqual(['nodes', 'policies', 'paths', 'sites', 'links'])
      expect(all.links).toHaveLength(5)
      expect((await runCommand(['inspect', 'nope', '--url', url])).stderr).toContain('policies, paths, sites, links')

      const wrong = async () => {
        const { findings, notChecked } = await checkDatabase(url)
        return {
          findings: findings.filter(({ check, severity }) => check === 'schema' && severity === 'error'),
          notChecked,
        }
      }
      expect(await wrong()).toEqual({ findings: [], notChecked: [] })
      await run(`DROP TRIGGER links_mark_update${dialect === 'sqlite' ? '' : ' ON links'}`)
      expect((await wrong()).findings).toMatchObject([
        {
          message: expect.stringContaining('the trigger links_mark_update is missing'),
          advice: expect.stringContaining('meshstore migrate generate'),
          table: 'links',
        },
      ])
      await run("UPDATE meshstore_state SET value = '{}' WHERE name = 'table:sites'")
      const bad = await wrong()
      expect(bad.findings).toMatchObject([{ table: 'links' }, { table: 'sites' }])
      expect(bad.notChecked).toMatchObject([{ check: 'rows' }])
      await (await openApp(url)).close()
      expect(await wrong()).toEqual({ findings: [], notChecked: [] })
      await run('DROP TABLE links')
      expect((await wrong()).findings).toMatchObject([
        { message: expect.stringContaining('links: the table is not there'), table: 'links' },
      ])
    }))
}

describe('a file', () => suite(onSqlite, 'sqlite'))
describePostgres('a PostgreSQL database', () => suite(onPostgres, 'postgresql'))

test('migrate generate refuses what it cannot use, and writes nothing', async () => {
  using folder = temporaryFolder()
  const run = (...args: string[]) => runCommand(['migrate', 'generate', ...args])
  const refused = async (text: string, ...args: string[]): Promise<void> => {
    const { code, stderr } = await run(...args)
    expect(stderr).toContain(text)
    expect(code).toBe(2)
  }
  await refused('--schema')
  await refused('There is no file', '--schema', folder.file('none.ts'))
  await refused('exports no schema', '--schema', folder.write('empty.mjs', 'export const a = 1'))
  await refused('cannot be loaded', '--schema', folder.write('broken.mjs', 'export const = 1'))
  await refused('cannot be loaded: No. Nothing', '--schema', folder.write('throwing.mjs', "throw new Error('No.')"))
  await refused('has no folder sqlite or postgresql', '--schema', SCHEMA, '--migrations', folder.path)
  const copy = folder.file('drizzle')
  cpSync(migrations, copy, { recursive: true })
  const file = join(copy, 'postgresql/0000_create_links.sql')
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll('CREATE TABLE "sites"', 'CREATE TABLE "others"'))
  await refused('makes the table sites', '--schema', SCHEMA, '--migrations', copy)
  await refused('give letters', '--schema', SCHEMA, '--migrations', copy, '--name', '../x')
  expect(readdirSync(join(copy, 'sqlite'))).toEqual(readdirSync(join(migrations, 'sqlite')))
})

/** As drizzle-kit writes it: a table that refers to sites, and sites made anew. */
const ANEW = [
  [
    '0001_notes',
    'CREATE TABLE `notes` (`id` text PRIMARY KEY, `site_id` text REFERENCES sites(site_id) ON DELETE cascade);',
  ],
  [
    '0002_anew',
    `PRAGMA foreign_keys=OFF;--> statement-breakpoint
CREATE TABLE \`__new_sites\` (\`site_id\` text PRIMARY KEY NOT NULL, \`name\` text, \`floors\` integer DEFAULT 1 NOT NULL, \`plan\` text);
--> statement-breakpoint
INSERT INTO \`__new_sites\`("site_id", "name", "floors", "plan") SELECT "site_id", "name", "floors", "plan" FROM \`sites\`;--> statement-breakpoint
DROP TABLE \`sites\`;--> statement-breakpoint
ALTER TABLE \`__new_sites\` RENAME TO \`sites\`;--> statement-breakpoint
PRAGMA foreign_keys=ON;`,
  ],
] as const

test('cascades are found as SQLite sees them: in one text, in other spellings, through triggers and after a rename', () => {
  const at = (tag: string, ...statements: string[]) => ({ tag, file: tag, when: 1, hash: tag, statements })
  const cascades = cascadesIn([
    at(
      'all-in-one',
      `CREATE TABLE a (id TEXT PRIMARY KEY); /* ; */ CREATE TABLE [b c] (id TEXT, a TEXT REFERENCES "A" (id) ON UPDATE CASCADE ON DELETE SET NULL);
       CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a WHERE id = ';'; DELETE FROM a WHERE id = 'x'; END;
       CREATE TABLE kept (id TEXT, a TEXT REFERENCES a (id));
       INSERT INTO missing VALUES (1);
       DROP TABLE a`,
    ),
    at(
      'late',
      'ALTER TABLE kept RENAME TO held',
      'CREATE TABLE p (id TEXT PRIMARY KEY, p REFERENCES p ON DELETE CASCADE)',
    ),
    at('added', 'ALTER TABLE held ADD COLUMN p TEXT REFERENCES p (id) ON DELETE CASCADE', 'ALTER TABLE p RENAME TO q'),
    at('dropped', '-- a comment\n DROP TABLE IF EXISTS `q`', 'DROP TABLE nothing'),
    at('ours', 'CREATE TABLE s (n TEXT REFERENCES nodes (node_id) ON DELETE CASCADE)', 'DROP TABLE s'),
  ])
  expect(cascades).toEqual([
    { tag: 'all-in-one', drops: 'a', tables: ['b c'] },
    { tag: 'dropped', drops: 'q', tables: ['held'] },
  ])
})

test('migrate generate warns of a table made anew whose children drizzle-kit would delete, and migrate up keeps them', async () => {
  using folder = temporaryFolder()
  const copy = folder.file('drizzle')
  cpSync(migrations, copy, { recursive: true })
  const add = (idx: number): void => {
    const [tag, sql] = ANEW[idx - 1] ?? ['', '']
    const file = join(copy, 'sqlite/meta/_journal.json')
    const journal = JSON.parse(readFileSync(file, 'utf8'))
    journal.entries.push({ ...journal.entries[0], idx, tag, when: journal.entries[0].when + idx })
    writeFileSync(file, JSON.stringify(journal))
    writeFileSync(join(copy, `sqlite/${tag}.sql`), sql)
  }
  add(1)
  const args = ['migrate', 'generate', '--schema', SCHEMA, '--migrations', copy, '--dry-run']
  // The control: nothing is dropped yet.
  expect(await json(...args)).not.toHaveProperty('cascades')
  expect((await runCommand(args)).stdout).not.toContain('Warning')

  await onSqlite(async ({ url, migrate, run }) => {
    const up = (...more: string[]) => json('migrate', 'up', '--migrations', copy, '--url', url, ...more)
    expect((await up()).applied.map(({ tag }: { tag: string }) => tag).slice(-2)).toEqual([
      '0000_create_links',
      '0001_notes',
    ])
    await run("INSERT INTO sites (site_id, name) VALUES ('s', 'one'); INSERT INTO notes VALUES ('n', 's')")
    const left = (path: string): unknown => {
      const raw = new Sqlite(path, { readonly: true })
      const count = raw.prepare('SELECT count(*) FROM notes').pluck().get()
      raw.close()
      return count
    }
    const other = folder.file('other.db')
    await run(`VACUUM INTO '${other}'`)

    add(2)
    expect((await json(...args)).cascades).toEqual([{ tag: '0002_anew', drops: 'sites', tables: ['notes'] }])
    expect((await runCommand(args)).stdout).toMatch(/0002_anew drops sites.* rows of notes .*migrate up --migrations/)
    const before = folder.file('before.db')
    expect(await up('--backup', before)).toMatchObject({ applied: [{ tag: '0002_anew' }], backup: before })
    expect(left(before)).toBe(1)
    expect(left(url)).toBe(1)
    // What it warns of.
    await migrate(copy)
    const raw = new Sqlite(other)
    migrateSqlite(drizzleSqlite(raw), { migrationsFolder: join(copy, 'sqlite'), migrationsTable: '__app_migrations' })
    raw.close()
    expect(left(other)).toBe(0)
  })
})
