/** `meshstore restore`, in processes of its own. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { MAIN, type Ran, runCommand, runProgram } from '../cli/support/command.ts'
import { Program } from '../sqlite/support/program.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { backupOf, bytesIn, contentOf, database, namesIn } from './support/files.ts'

const done = { code: 0, stderr: '' }
const parsed = ({ stdout }: Ran) => JSON.parse(stdout)

async function damagedIn(folder: TemporaryFolder): Promise<string> {
  const { file } = await backupOf(folder, 'damaged')
  writeFileSync(file, readFileSync(file).fill(1, 5_000, 5_001))
  return file
}

test('a restore writes a new database; over one only with --replace, after --dry-run has changed nothing', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new')
  const path = folder.file('data', 'mesh.db')
  const restore = (...args: string[]): Promise<Ran> => runCommand(['restore', '--from', file, '--to', path, ...args])
  expect(await restore('--dry-run')).toMatchObject({
    ...done,
    stdout: expect.stringContaining(`It would make ${path}.`),
  })
  expect(existsSync(folder.file('data'))).toBe(false)
  expect(await runCommand(['restore', '--from', folder.path, '--to', path])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`${folder.path} is a folder. Name a backup in it.`),
  })
  expect(await restore()).toMatchObject({ ...done, stdout: expect.stringMatching(/^Restored .*: 50 nodes/) })
  const before = bytesIn(folder.file('data'))
  expect(await restore()).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^CONFIG: .*--replace/),
  })
  expect(parsed(await restore('--dry-run', '--json'))).toMatchObject({
    dryRun: true,
    replaces: true,
    target: path,
    backup: { file },
  })
  expect(bytesIn(folder.file('data'))).toEqual(before)
  const replaced = await restore('--replace', '--json')
  expect(replaced).toMatchObject(done)
  expect(parsed(replaced)).toMatchObject({
    restoredTo: path,
    migrated: [],
    safetyCopy: expect.stringContaining('before-restore'),
  })
})

test('a restore exits with 5 while the database is in use, and with 4 for a backup that is damaged', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new')
  const path = await database(folder.file('data', 'mesh.db'))
  const raw = new Sqlite(path)
  raw.prepare('SELECT count(*) FROM nodes').get()
  for (const how of ['--replace', '--dry-run']) {
    const busy = await runCommand(['restore', '--from', file, '--to', path, how, '--json'])
    expect(busy.code).toBe(5)
    expect(parsed(busy)).toMatchObject({ error: { code: 'BUSY', retryable: true } })
  }
  raw.close()
  const invalid = await runCommand(['restore', '--from', await damagedIn(folder), '--to', path, '--replace'])
  expect(invalid).toMatchObject({ code: 4, stdout: '', stderr: expect.stringMatching(/^BACKUP_INVALID: /) })
  expect(await runCommand(['restore', '--from', file, '--to', 'postgres://u:p@127.0.0.1:1/m'])).toMatchObject({
    code: 5,
  })
  const missing = folder.file('none')
  const words = { code: 2, stderr: expect.stringContaining(`CONFIG: There is no file at ${missing}.`) }
  for (const how of [[], ['--replace'], ['--dry-run']])
    expect(await runCommand(['restore', '--from', missing, '--to', path, ...how])).toMatchObject(words)
  expect(namesIn(folder.file('data'))).toEqual(['mesh.db'])
})

test('a restore and a backup that are interrupted leave no half of a file', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new', 6_000)
  const path = await database(folder.file('data', 'mesh.db'), 6_000, 'old')
  const old = contentOf(path)
  const after = [300, 400]
  for (const [turn, milliseconds] of after.entries()) {
    const target = folder.file('b', `${turn}`)
    await using program = new Program(process.execPath, [MAIN, 'backup', 'create', '--url', path, '--file', target])
    await wait(milliseconds)
    program.interrupt()
    await program.ended
    if (existsSync(target)) expect(await runCommand(['backup', 'verify', target])).toMatchObject(done)
    await using restoring = new Program(process.execPath, [MAIN, 'restore', '--from', file, '--to', path, '--replace'])
    await wait(milliseconds)
    restoring.interrupt()
    await restoring.ended
    expect([old, contentOf(file)]).toContain(contentOf(path))
  }
})

test('a restore shows how far it is in a terminal alone', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new', 6_000)
  const command = `'${process.execPath}' '${MAIN}' restore --from '${file}' --to '${folder.file('a.db')}'`
  const shown = await runProgram('script', ['-qec', command, '/dev/null'])
  expect(shown.code).toBe(0)
  expect(shown.stdout).toMatch(/Restoring .*%/)
  expect(await runCommand(['restore', '--from', file, '--to', folder.file('b.db')])).toMatchObject(done)
})
