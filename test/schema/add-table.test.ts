/**
 * A fourth table, added to a copy of the tree by the steps of CONTRIBUTING.md: with nothing else it is backed up, exported,
 * copied, moved, streamed, checked and fenced.
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'
import { run, TreeCopy } from './tree-copy.ts'

const REPOSITORY = `
import type { InferSelectModel } from 'drizzle-orm'
import { eq } from '../database/queries.ts'
import type { Session } from '../database/session.ts'
import { pick, statement } from '../database/statement.ts'
import type { links } from '../schema/sqlite.ts'
import { TABLES } from '../schema/tables.ts'
import { checkedRow } from './checked.ts'

export type Link = InferSelectModel<typeof links>
export type NewLink = Omit<Link, 'createdAt' | 'isUp'> & { createdAt?: Date; isUp?: boolean }

const COLUMNS = ['linkId', 'source', 'tags', 'isUp', 'note', 'createdAt'] as const
const insert = statement<Link>()(
  'links.insert',
  (db, { links }, p) => db.insert(links).values(pick(p, COLUMNS)).onConflictDoNothing(),
  'inserts one row',
)
const byId = statement<{ linkId: string }>()('links.get', (db, { links }, p) =>
  db.select().from(links).where(eq(links.linkId, p.linkId)),
)
const checkedLink = checkedRow<NewLink>('The link', TABLES.links)

export class LinkRepository {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async create(link: NewLink): Promise<void> {
    await this.#session.write(insert, { isUp: false, createdAt: new Date(), ...checkedLink(link) })
  }

  get(linkId: string): Promise<Link | undefined> {
    return this.#session.readOne(byId, { linkId })
  }
}
`

/** In the order of CONTRIBUTING.md: twins, description, repository, and the store that has it. Returns the files that were edited. */
function addLinks(copy: TreeCopy): readonly string[] {
  const edited = new Set<string>()
  const edit = (file: string, from: string, to: string): void => {
    copy.edit(file, from, to)
    edited.add(file)
  }
  const columns = (key: string, flag: string): string => `{
    linkId: ${key}('link_id').primaryKey().notNull(),
    source: ${key}('source').notNull(),
    tags: stringList('tags').notNull(),
    isUp: ${flag}('is_up').notNull().default(false),
    note: text('note'),
    createdAt: time('created_at').notNull(),
  }`
  const state = "/** The library's own state"
  edit(
    'src/schema/sqlite.ts',
    state,
    `export const links = sqliteTable('links', ${columns('text', 'flag')})\n\n${state}`,
  )
  edit(
    'src/schema/postgres.ts',
    state,
    `export const links = pgTable('links', ${columns('key', 'boolean')})\n\n${state}`,
  )
  edit(
    'src/schema/tables.ts',
    '\n}\n\nconst some',
    `
  links: twins('links', {
    name: 'links',
    key: 'linkId',
    columns: {
      linkId: { name: 'link_id', kind: 'text', rule: rules.isId },
      source: { name: 'source', kind: 'text', rule: rules.isId },
      tags: { name: 'tags', kind: 'list' },
      isUp: { name: 'is_up', kind: 'boolean', filledIn: 'by default' },
      note: { name: 'note', kind: 'text', nullable: true },
      createdAt: { name: 'created_at', kind: 'time', filledIn: 'by store' },
    },
    invalidates: { columns: ['isUp'], paths: 'all' },
  }),
}

const some`,
  )
  copy.write('src/repositories/link-repository.ts', REPOSITORY)
  const imported = "import type { LinkRepository } from '../repositories/link-repository.ts'\n"
  edit('src/api/store.ts', 'import type { NodeRepository', `${imported}import type { NodeRepository`)
  edit(
    'src/api/store.ts',
    'readonly nodes: NodeRepository\n',
    'readonly nodes: NodeRepository\n  readonly links: LinkRepository\n',
  )
  const store = 'src/store.ts'
  edit(
    store,
    'import { SqlNodeRepository',
    "import { LinkRepository } from './repositories/link-repository.ts'\nimport { SqlNodeRepository",
  )
  edit(store, "'nodes' | 'policies'>", "'nodes' | 'policies' | 'links'>")
  edit(store, 'nodes: new SqlNode', 'links: new LinkRepository(session),\n      nodes: new SqlNode')
  edit(store, 'readonly nodes: NodeRepository\n', 'readonly links: LinkRepository\n  readonly nodes: NodeRepository\n')
  edit(store, 'const { nodes, policies } = this', 'const { links, nodes, policies } = this')
  edit(store, 'this.nodes = nodes\n', 'this.links = links\n    this.nodes = nodes\n')
  return [...edited]
}

const PROGRAM = `
import Sqlite from 'better-sqlite3'
import { readFileSync, createReadStream } from 'node:fs'
import { copyDatabase, openStorage, restoreBackup, verifyBackup } from './src/index.ts'
import { exportTo, fileOutput, importInto, TABLE_NAMES } from './src/transfer/index.ts'

const [folder, copied, moved] = process.argv.slice(2)
const [path, other, imported, back] = ['mesh.db', 'restored.db', 'imported.db', 'back.db'].map((name) => folder + '/' + name)
const said = {}
const b = { linkId: 'b', source: 'n', tags: ['x', 'y'], note: 'slow' }
const linkOf = async (url, id = 'b') => {
  await using store = await openStorage(url)
  return store.links.get(id)
}
{
  await using store = await openStorage(path)
  const changes = store.changes()
  await changes.ready()
  await store.links.create({ linkId: 'a', source: 'n', tags: [], note: null })
  await store.links.create(b)
  said.refused = await store.links.create({ ...b, source: 1, extra: 1 }).catch(({ issues }) => issues.map(({ path }) => path))
  said.changes = []
  for await (const { table, key, operation } of changes) {
    said.changes.push([table, key ?? null, operation])
    if (key === 'b') break
  }
  const manifest = await store.backup(folder + '/mesh.backup')
  said.backedUp = manifest.tables.links.rows
  said.verified = (await verifyBackup(manifest.file)).tables.links.sha256 === manifest.tables.links.sha256
  said.link = await store.links.get('b')
}
await restoreBackup(folder + '/mesh.backup', other)
said.restored = await linkOf(other)
const output = await fileOutput(folder + '/mesh.ndjson')
await exportTo(path, output, { tables: TABLE_NAMES, skipInvalid: false, onInvalid: () => {} })
said.exported = readFileSync(folder + '/mesh.ndjson', 'utf8').split('\\n').filter((line) => line.includes('"links"') && line.includes('link_id')).length
await importInto(imported, createReadStream(folder + '/mesh.ndjson'), { dryRun: false, onConflict: 'error', skipRefused: false, busyTimeoutMs: 5000, now: () => new Date(), onRefused: (row) => { said.refusedLine = row } })
said.imported = await linkOf(imported)
await copyDatabase(path, copied)
said.copied = await linkOf(copied)
said.none = (await linkOf(copied, 'a')).note
{
  await using store = await openStorage(copied)
  said.fromPostgres = (await store.backup(folder + '/postgres.backup')).tables.links.rows
}
await copyDatabase(copied, back)
said.back = await linkOf(back)
{
  await using store = await openStorage(path)
  await store.moveTo(moved)
  said.moved = await store.links.get('b')
}
const raw = new Sqlite(path)
try {
  raw.exec("DELETE FROM links")
} catch ({ message }) {
  said.fenced = message
}
console.log(JSON.stringify(said))
`

describePostgres('a table that is added by the steps of CONTRIBUTING.md', () => {
  test('is everywhere, and people edit at most five files for it', async () => {
    using copy = new TreeCopy()
    const edited = addLinks(copy)
    expect(edited.length).toBeLessThanOrEqual(5)
    expect(await copy.dbGenerate('--name', 'add_links')).toMatchObject({ code: 0 })
    expect(copy.read('drizzle/postgresql-grants.sql')).toContain('public.links,')

    using folder = temporaryFolder()
    await using copied = await createDatabase()
    await using moved = await createDatabase()
    copy.write('program.ts', PROGRAM)
    const { code, stdout, stderr } = await run(copy.root, 'program.ts', [folder.path, copied.url, moved.url])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const said = JSON.parse(stdout)
    const link = {
      linkId: 'b',
      source: 'n',
      tags: ['x', 'y'],
      isUp: false,
      note: 'slow',
      createdAt: said.link.createdAt,
    }
    expect(said).toEqual({
      refused: ['source', 'extra'],
      changes: [
        ['path_cache', null, 'invalidate'],
        ['links', 'a', 'insert'],
        ['path_cache', null, 'invalidate'],
        ['links', 'b', 'insert'],
      ],
      backedUp: 2,
      verified: true,
      link,
      restored: link,
      exported: 2,
      imported: link,
      copied: link,
      none: null,
      fromPostgres: 2,
      back: link,
      moved: link,
      fenced: expect.stringContaining('this database has moved'),
    })
    expect(await moved.query('SELECT count(*)::int AS links FROM links')).toEqual([{ links: 2 }])

    const types = await run(copy.root, 'node_modules/typescript/bin/tsc', ['-p', '.'])
    expect(types.stdout.split('\n').filter((line) => line.startsWith('src/'))).toEqual([])
  })
})

test('a description that is not as its twins does not compile', async () => {
  using copy = new TreeCopy()
  copy.edit('src/schema/tables.ts', "name: 'yaml_content', kind: 'text'", "name: 'yaml_content', kind: 'integer'")
  copy.edit('src/schema/tables.ts', "name: 'cache_key', kind: 'text'", "name: 'cachekey', kind: 'text'")
  const { stdout } = await run(copy.root, 'node_modules/typescript/bin/tsc', ['-p', '.'])
  const found = stdout.split('\n').filter((line) => line.startsWith(join('src', 'schema', 'tables.ts')))
  expect(found.join('\n')).toMatch(/TS2322[\s\S]*'"integer"'[\s\S]*TS2322[\s\S]*'"cachekey"'/)
})
