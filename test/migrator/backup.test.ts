/** The verified copy that is made of a SQLite file before its tables are changed. */
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kindsOfDisk } from '../faults/disks.ts'
import type { TreeCopy } from '../schema/tree-copy.ts'
import { temporaryFolder } from '../support/folders.ts'
import { TAGS } from '../support/tags.ts'
import { HERE, migrate, migrated, opened, statusOf } from './support/commands.ts'
import { filesIn, rowsFor, type Scratch, sqliteScratch, using } from './support/databases.ts'
import { ADD_NOTE, grown, LIMIT_K, tagOf, without } from './support/trees.ts'

let tree: TreeCopy
/** Without the last migration. */
let early: TreeCopy
beforeAll(async () => {
  tree = await grown(ADD_NOTE, LIMIT_K)
  early = without(tree, LIMIT_K)
})
afterAll(() => {
  tree[Symbol.dispose]()
  early[Symbol.dispose]()
})

const folderOf = ({ path }: Scratch): string => join(path, '..')
const copiesOf = (scratch: Scratch): string[] =>
  filesIn(folderOf(scratch)).filter((name) => name !== 'mesh.db' && !name.endsWith('.manifest.json'))
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

/** Every row of every table. */
const contentOf = (path: string): unknown =>
  using(path, (raw) =>
    raw
      .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      .pluck()
      .all()
      .map((name) => [name, raw.prepare(`SELECT * FROM "${name}" ORDER BY rowid`).raw().all()]),
  )

async function filled(): Promise<Scratch> {
  const scratch = sqliteScratch()
  await migrated(HERE, scratch.url, 'up')
  await scratch.query(rowsFor('sqlite'))
  await scratch.query("CREATE TABLE theirs (a, b); INSERT INTO theirs VALUES (1, x'00ff'), ('ä', NULL)")
  return scratch
}

describe('the copy before a change', () => {
  test.each(['openStorage', 'the command line'])('is made once by %s for all that is pending', async (who) => {
    await using scratch = await filled()
    const before = contentOf(scratch.path)
    if (who === 'openStorage') await opened(tree, scratch.url, 'apply')
    else await migrated(tree, scratch.url, 'up')
    const copies = copiesOf(scratch)
    expect(copies).toEqual([expect.stringMatching(/^mesh\.db\.before-\d+_add_note-\d{8}T\d{9}Z$/)])
    const copy = join(folderOf(scratch), copies[0] ?? '')
    expect(modeOf(copy)).toBe('600')
    expect(contentOf(copy)).toEqual(before)
    // The code of before opens it, and so does the newer, which makes a copy of the copy.
    expect(await statusOf(HERE, copy)).toMatchObject({ code: 0, state: 'current', drift: [], newer: [] })
    expect(await opened(HERE, copy, 'apply')).toEqual([{ nodes: ['apply', 'gw-1', 'gw-2'] }])
  })

  test('has what a connection that is still open has committed into the log', async () => {
    await using scratch = await filled()
    const raw = new Sqlite(scratch.path)
    raw.pragma('wal_autocheckpoint = 0')
    raw.exec("INSERT INTO theirs VALUES (3, 'in the log')")
    await migrated(tree, scratch.url, 'up')
    raw.close()
    const copy = join(folderOf(scratch), copiesOf(scratch)[0] ?? '')
    expect(using(copy, (raw) => raw.prepare('SELECT b FROM theirs WHERE a = 3').pluck().get())).toBe('in the log')
  })

  test('is not made of a new file, nor when nothing is pending, nor when something is refused', async () => {
    await using scratch = sqliteScratch()
    await migrated(tree, scratch.url, 'up')
    await migrated(tree, scratch.url, 'up')
    await opened(tree, scratch.url, 'apply', 'check', 'skip')
    expect(copiesOf(scratch)).toEqual([])
    await scratch.query("UPDATE __drizzle_migrations SET hash = 'another'")
    expect(await migrate(tree, scratch.url, 'up')).toMatchObject({ code: 4 })
    expect(copiesOf(scratch)).toEqual([])
  })

  test('is not made of an empty file that is there', async () => {
    await using scratch = sqliteScratch()
    await scratch.query('VACUUM')
    await migrated(tree, scratch.url, 'up')
    expect(copiesOf(scratch)).toEqual([])
  })

  test('goes where --backup says, and nowhere with --no-backup; both are told', async () => {
    using elsewhere = temporaryFolder()
    await using scratch = await filled()
    const before = contentOf(scratch.path)
    const target = elsewhere.file('new', 'folder', 'before.db')
    const { stdout } = await migrated(tree, scratch.url, 'up', '--backup', target)
    expect(stdout).toContain(`Copied the file as it was to ${target}.\n`)
    expect(contentOf(target)).toEqual(before)
    expect(modeOf(target)).toBe('600')
    expect(copiesOf(scratch)).toEqual([])

    await using other = await filled()
    const none = await migrated(tree, other.url, 'up', '--no-backup', '--json')
    expect(JSON.parse(none.stdout)).toEqual({ applied: [expect.any(Object), expect.any(Object)] })
    expect(copiesOf(other)).toEqual([])
    await using third = await filled()
    const some = await migrated(tree, third.url, 'up', '--json')
    expect(JSON.parse(some.stdout)).toMatchObject({ backup: join(folderOf(third), copiesOf(third)[0] ?? '') })
  })

  test('of a file that is a link lies beside the file', async () => {
    using folder = temporaryFolder()
    await using scratch = await filled()
    symlinkSync(scratch.path, folder.file('link.db'))
    await migrated(tree, `sqlite:${folder.file('link.db')}`, 'up')
    expect(copiesOf(scratch)).toHaveLength(1)
    expect(filesIn(folder.path)).toEqual(['link.db'])
  })
})

describe('a copy that cannot be made stops the migration, and nothing changes:', () => {
  test.each<[string, (folder: string) => string, number]>([
    ['the target is taken', (folder) => join(folder, 'taken.db'), 2],
    ['the target is the file itself', (folder) => join(folder, 'mesh.db'), 2],
    ['the folder is a file', (folder) => join(folder, 'taken.db', 'copy.db'), 2],
    ['the folder takes no files', () => '/proc/mesh.db', 2],
    ['the target is a folder', (folder) => join(folder, 'folder'), 2],
    ['the name is longer than the file system takes', (folder) => join(folder, 'x'.repeat(250)), 2],
  ])('%s', async (_, target, exit) => {
    await using scratch = await filled()
    const folder = folderOf(scratch)
    using(join(folder, 'taken.db'), (raw) => raw.exec('CREATE TABLE taken (a)'))
    mkdirSync(join(folder, 'folder'))
    const before = await scratch.snapshot()
    const file = target(folder)
    const { code, stdout, stderr } = await migrate(tree, scratch.url, 'up', '--backup', file)
    expect(await scratch.snapshot()).toBe(before)
    expect({ code, stdout, stderr }).toEqual({ code: exit, stdout: '', stderr: expect.stringMatching(/^CONFIG: /) })
    // It can be opened as before, and migrated once there is a place.
    await migrated(tree, scratch.url, 'up', '--backup', join(folder, 'a-place.db'))
  })

  test('beside the file is no place, since its name would be too long', async () => {
    using folder = temporaryFolder()
    const url = `sqlite:${folder.file(`${'n'.repeat(215)}.db`)}`
    await migrated(HERE, url, 'up')
    const [outcome] = await opened(tree, url, 'apply')
    expect(await statusOf(tree, url)).toMatchObject({ state: 'pending', applied: TAGS })
    expect(filesIn(folder.path)).toHaveLength(1)
    expect(outcome).toMatchObject({ name: 'StorageError', code: 'CONFIG' })
  })

  test('the file is damaged where no migration looks', async () => {
    await using scratch = await filled()
    await scratch.query(`CREATE TABLE large (a);
      WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 400)
      INSERT INTO large SELECT hex(randomblob(200)) FROM n`)
    await scratch.query('PRAGMA wal_checkpoint(TRUNCATE)')
    const bytes = readFileSync(scratch.path)
    // A page of the large table, in its middle.
    bytes.fill(0xee, bytes.length - 5 * 4096, bytes.length - 4 * 4096)
    writeFileSync(scratch.path, bytes)
    const outcome = await migrate(tree, scratch.url, 'up')
    expect(outcome).toMatchObject({ code: 4, stdout: '', stderr: expect.stringMatching(/^CORRUPT: /) })
    expect(copiesOf(scratch)).toEqual([])
    expect(await scratch.ledger()).toHaveLength(TAGS.length)
  })

  test('the disk is full', async ({ skip }) => {
    const [small] = kindsOfDisk
    const disk = small?.make()
    if (small === undefined || disk === undefined) return skip('This machine makes no small disks.')
    using folder = disk.folder
    using full = disk
    const url = `sqlite:${folder.file('mesh.db')}`
    await migrated(HERE, url, 'up')
    using(folder.file('mesh.db'), (raw) => {
      raw.exec('CREATE TABLE large (a)')
      raw.prepare('INSERT INTO large VALUES (zeroblob(?))').run(2_000_000)
    })
    full.fill(process.pid, folder.file('mesh.db'))
    const outcome = await migrate(tree, url, 'up')
    expect(outcome).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^STORAGE_FULL: /) })
    expect(filesIn(folder.path)).toEqual(['mesh.db'])
    expect(await statusOf(tree, url)).toMatchObject({ state: 'pending', applied: TAGS })
    full.heal(process.pid)
    await migrated(tree, url, 'up')
    expect(await statusOf(tree, url)).toMatchObject({ state: 'current', drift: [] })
  })
})

test('the copy is named after the first migration that is pending', async () => {
  await using scratch = await filled()
  await migrated(early, scratch.url, 'up', '--no-backup')
  await migrated(tree, scratch.url, 'up')
  expect(copiesOf(scratch)).toEqual([expect.stringContaining(`before-${tagOf(tree, LIMIT_K)}-`)])
})
