/** `meshstore backup …` and `meshstore restore`, in processes of their own. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { type Ran, runCommand } from '../cli/support/command.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { foreignFile } from '../support/other-program.ts'
import { LATEST } from '../support/tags.ts'
import { backupAt, backupOf, bytesIn, contentOf, database, manifestOf, namesIn } from './support/files.ts'

const THEIRS = `
  CREATE TABLE nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at);
  CREATE TABLE policies (policy_id, yaml_content, rules_count, created_at, updated_at);
  CREATE TABLE path_cache (cache_key, source, destination, k, bundle_json, created_at, expires_at);
  INSERT INTO nodes VALUES ('a', 'no list', x'00', 'yes', 1.5, NULL, 'never')`

const done = { code: 0, stderr: '' }
const parsed = ({ stdout }: Ran) => JSON.parse(stdout)

async function damagedIn(folder: TemporaryFolder): Promise<string> {
  const { file } = await backupOf(folder, 'damaged')
  writeFileSync(file, readFileSync(file).fill(1, 5_000, 5_001))
  return file
}

describe('backup create', () => {
  test('makes one in ./backups, named after the database and the time, and says so', async () => {
    using folder = temporaryFolder()
    const path = await database(folder.file('mesh.db'))
    const ran = await runCommand(['backup', 'create', '--url', path], { cwd: folder.path })
    expect(ran).toMatchObject(done)
    const [name = ''] = namesIn(folder.file('backups'))
    expect(name).toMatch(/^mesh-\d{8}T\d{9}Z\.sqlite$/)
    expect(ran.stdout).toMatch(
      new RegExp(`^Made .*: 50 nodes, 0 policies, 0 cached paths; [\\d,]+ bytes; schema ${LATEST}\\. Verified\\.\\n$`),
    )
    expect(await runCommand(['backup', 'verify', folder.file('backups', name)])).toMatchObject(done)
  })

  test('with --json, of $DATABASE_URL, to --file, while another writes', async () => {
    using folder = temporaryFolder()
    const path = await database(folder.file('mesh.db'))
    const raw = new Sqlite(path)
    raw.exec("BEGIN IMMEDIATE; DELETE FROM nodes WHERE node_id = 'n-0001'")
    const file = folder.file('my backup')
    const ran = await runCommand(['backup', 'create', '--json', '--file', file, '--wait', '0.2'], {
      env: { DATABASE_URL: `sqlite:${path}` },
    })
    raw.close()
    expect(ran).toMatchObject(done)
    expect(parsed(ran)).toMatchObject({ file, schemaVersion: LATEST, tables: { nodes: { rows: 50 } } })
    expect(namesIn(folder.path).filter((name) => name.includes('backup'))).toEqual([
      'my backup',
      manifestOf('my backup'),
    ])
  })

  test('keeps as many as it is told', async () => {
    using folder = temporaryFolder()
    const path = await database(folder.file('mesh.db'))
    const args = ['backup', 'create', '--url', path, '--folder', folder.file('b'), '--keep-last', '2', '--json']
    for (let turn = 0; turn < 2; turn++) expect(await runCommand(args)).toMatchObject(done)
    const third = parsed(await runCommand(args))
    expect(third.pruned).toMatchObject({ kept: { length: 2 }, deleted: { length: 1 } })
    expect(namesIn(folder.file('b'))).toHaveLength(4)
  })

  test('where nothing would be kept makes none', async () => {
    using folder = temporaryFolder()
    const path = await database(folder.file('mesh.db'))
    const args = ['backup', 'create', '--url', path, '--folder', folder.file('b'), '--keep-last', '0']
    const words = expect.stringMatching(/^CONFIG: Nothing would be kept\. Nothing was deleted\. Give --keep-last/)
    expect(await runCommand(args)).toMatchObject({ code: 2, stdout: '', stderr: words })
    expect(namesIn(folder.path)).toEqual(['mesh.db'])
  })

  test('of a file that another program made changes nothing in it', async () => {
    using folder = temporaryFolder()
    const path = folder.file('theirs.db')
    foreignFile(path, THEIRS)
    const before = contentOf(path)
    const bytes = readFileSync(path)
    const ran = await runCommand(['backup', 'create', '--url', path, '--file', folder.file('b'), '--json'])
    expect(ran).toMatchObject(done)
    expect(parsed(ran)).toMatchObject({ schemaVersion: 'none', tables: { nodes: { rows: 1 } } })
    expect(contentOf(path)).toBe(before)
    expect(contentOf(folder.file('b'))).toBe(before)
    // Not even the mode of its journal.
    expect(readFileSync(path).equals(bytes)).toBe(true)
  })

  test('of a folder and a file that cannot be written, while the application runs', async () => {
    using folder = temporaryFolder()
    const path = await database(folder.file('data', 'mesh.db'))
    await using store = await openStorage(path)
    await store.nodes.delete('n-0001')
    mkdirSync(folder.file('b'))
    const modes = {
      '.': 0o755,
      b: 0o777,
      data: 0o555,
      'data/mesh.db': 0o444,
      'data/mesh.db-wal': 0o444,
      'data/mesh.db-shm': 0o444,
    }
    for (const [name, mode] of Object.entries(modes)) chmodSync(folder.file(name), mode)
    const args = ['backup', 'create', '--url', path, '--file', folder.file('b', 'x'), '--json']
    const ran = await runCommand(args, { unprivileged: true })
    expect(ran).toMatchObject(done)
    expect(parsed(ran)).toMatchObject({ tables: { nodes: { rows: 49 } } })
    // SQLite cannot read the file without writing one beside it, unless another process has it open.
    chmodSync(folder.file('data'), 0o755)
    await store.close()
    chmodSync(folder.file('data'), 0o555)
    const alone = await runCommand([...args.slice(0, 5), folder.file('b', 'y'), '--json'], { unprivileged: true })
    expect(alone).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^CONFIG: .*its folder cannot be written/),
    })
    expect(namesIn(folder.file('b'))).toEqual(['x', manifestOf('x')])
    chmodSync(folder.file('data'), 0o755)
  })

  const refusals: [string, number, string, (folder: TemporaryFolder) => string[] | Promise<string[]>][] = [
    ['no database', 2, 'CONFIG', (folder) => ['--url', folder.file('missing.db')]],
    ['no URL', 2, 'CONFIG', () => []],
    ['a text', 4, 'CORRUPT', (folder) => ['--url', folder.write('x.db', 'no database'.repeat(100))]],
    [
      'a place that is taken',
      2,
      'CONFIG',
      async (folder) => ['--url', await database(folder.file('m.db')), '--file', folder.write('f', '')],
    ],
    [
      'a file, and what to keep',
      2,
      'CONFIG',
      async (folder) => ['--url', await database(folder.file('m.db')), '--file', folder.file('f'), '--keep-last', '1'],
    ],
  ]
  test.each(refusals)('of %s exits with %i, and makes nothing', async (_, code, name, make) => {
    using folder = temporaryFolder()
    const args = ['backup', 'create', '--folder', folder.file('b'), '--json', ...(await make(folder))]
    const ran = await runCommand(args)
    expect(ran).toMatchObject({ code, stderr: expect.stringMatching(`^${name}: .*\n$`) })
    expect(parsed(ran)).toMatchObject({ error: { code: name, message: expect.any(String), retryable: false } })
    expect(existsSync(folder.file('b')) ? namesIn(folder.file('b')) : []).toEqual([])
  })
})

test('backup list shows what there is, oldest first, and exits with 4 for what must not be trusted', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('mesh.db'))
  mkdirSync(folder.file('b'))
  const list = (...args: string[]): Promise<Ran> =>
    runCommand(['backup', 'list', '--folder', folder.file('b'), ...args])
  expect(await list()).toEqual({ ...done, stdout: 'There are no backups.\n' })
  for (const year of ['2026', '2025']) await backupAt(path, folder.file('b', `of ${year}`), `${year}-01-01T00:00:00Z`)
  const { stdout, ...rest } = await list()
  expect(rest).toEqual(done)
  expect(stdout.split('\n').map((line) => line.slice(0, 4))).toEqual(['2025', '2026', ''])
  writeFileSync(folder.file('b', 'of 2025'), 'x')
  const listed = await list('--json')
  expect(listed.code).toBe(4)
  expect(parsed(listed)).toMatchObject({ backups: [{ tables: {} }], broken: [{ file: folder.file('b', 'of 2025') }] })
  expect((await list()).stdout).toContain('Not to be trusted: ')
  expect(await runCommand(['backup', 'list', '--folder', folder.file('none')])).toMatchObject({ code: 2 })
})

test('backup verify names each file, and exits with 4 if one is not sound, or with 2 if one is not there', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'sound')
  const damaged = await damagedIn(folder)
  expect(await runCommand(['backup', 'verify', file])).toMatchObject({
    ...done,
    stdout: expect.stringContaining(`${file} is sound: 50 nodes`),
  })
  const both = await runCommand(['backup', 'verify', damaged, file, '--json'])
  expect(both.code).toBe(4)
  expect(parsed(both)).toMatchObject({
    backups: [
      { valid: false, code: 'BACKUP_INVALID' },
      { valid: true, manifest: { file } },
    ],
  })
  expect(await runCommand(['backup', 'verify'])).toMatchObject({ code: 2, stdout: '' })
  const none = folder.file('none')
  const told = expect.stringContaining(`CONFIG: There is no file at ${none}`)
  expect(await runCommand(['backup', 'verify', file, none])).toMatchObject({ code: 2, stdout: told })
  expect(await runCommand(['backup', 'verify', damaged, none])).toMatchObject({ code: 4, stdout: told })
})

test('backup prune says what it would delete, and deletes it', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('mesh.db'))
  for (const day of [1, 2, 3]) await backupAt(path, folder.file('b', `${day}`), `2026-01-0${day}T00:00:00Z`)
  const prune = (...args: string[]): Promise<Ran> =>
    runCommand(['backup', 'prune', '--folder', folder.file('b'), ...args])
  const before = bytesIn(folder.file('b'))
  expect(await prune()).toMatchObject({ code: 2, stderr: expect.stringMatching(/^CONFIG: Nothing would be kept/) })
  expect(await prune('--keep-last', 'many')).toMatchObject({ code: 2 })
  const planned = await prune('--keep-last', '1', '--dry-run')
  expect(planned).toMatchObject(done)
  expect(planned.stdout).toMatch(
    /^Would keep .*\/3 \(last, newest verified\)\nWould delete .*\/1\nWould delete .*\/2\n$/,
  )
  expect(bytesIn(folder.file('b'))).toEqual(before)
  expect(parsed(await prune('--keep-daily', '2', '--json'))).toMatchObject({
    dryRun: false,
    deleted: [{ createdAt: '2026-01-01T00:00:00.000Z' }],
  })
  expect(namesIn(folder.file('b'))).toEqual(['2', manifestOf('2'), '3', manifestOf('3')])
})
