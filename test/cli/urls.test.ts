/** Which database the command works on, and what it says of one that it cannot use. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { makeFile } from '../adoption/support/client.ts'
import { nodeRow } from '../adoption/support/ddl.ts'
import { changingNothing } from '../adoption/support/unchanged.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { documentOf, ONE_LINE, runCommand } from './support/command.ts'

const COMMANDS = ['up', 'status', 'plan', 'adopt', 'repair']
/** They create nothing. */
const LOOKING = ['status', 'plan', 'adopt']

describe.each(COMMANDS)('migrate %s', (command) => {
  test('without a URL is refused, and says what to give', async () => {
    for (const env of [{}, { DATABASE_URL: '' }]) {
      const ran = await runCommand(['migrate', command, '--json'], { env })
      expect(ran.code).toBe(2)
      expect(documentOf(ran)).toMatchObject({ error: { code: 'CONFIG', retryable: false } })
      expect(ran.stderr).toBe(
        'CONFIG: Which database? Give --url, or set DATABASE_URL. See docs/reference/errors.md#config\n',
      )
    }
  })

  test.each([
    ['a folder', (folder: TemporaryFolder) => folder.path],
    ['a database in memory', () => 'sqlite::memory:'],
    ['a scheme that nobody knows', () => 'mysql://localhost/mesh'],
    ['a host for SQLite', () => 'sqlite://localhost/mesh.db'],
    ['a path with parameters', () => 'sqlite:./mesh.db?mode=ro'],
    ['a file: URL of another machine', () => 'file://elsewhere/mesh.db'],
    ['an unknown parameter', () => 'postgres://localhost/mesh?colour=red'],
    ['what is no file', () => '/dev/null'],
    ['a folder that is a file', () => '/dev/null/mesh.db'],
  ])('%s is refused in one line', async (_, urlOf) => {
    using folder = temporaryFolder()
    const ran = await runCommand(['migrate', command, '--url', urlOf(folder)], { cwd: folder.path })
    expect(ran).toMatchObject({ code: 2, stdout: '' })
    expect(ran.stderr).toMatch(ONE_LINE)
    expect(ran.stderr).toMatch(/^CONFIG: /)
    expect(readdirSync(folder.path)).toEqual([])
  })

  test('a file that is no database is for a person to look at, and stays as it is', async () => {
    using folder = temporaryFolder()
    const path = folder.write('notes.txt', 'These are notes, and no database. '.repeat(100))
    const ran = await changingNothing(folder.path, () => runCommand(['migrate', command, '--url', path]))
    expect(ran).toMatchObject({ code: 4, stdout: '' })
    expect(ran.stderr).toMatch(/^CORRUPT: The file is no SQLite database/)
  })
})

test.each(LOOKING)('migrate %s on a file that is missing is refused, and creates nothing', async (command) => {
  using folder = temporaryFolder()
  const ran = await runCommand(['migrate', command, '--url', 'sqlite:./nowhere/mesh.db'], { cwd: folder.path })
  expect(ran).toEqual({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^CONFIG: There is no database at .\/nowhere\/mesh.db. Check .*\n$/),
  })
  expect(readdirSync(folder.path)).toEqual([])
})

test.each(['sqlite:./mesh.db', './mesh.db', 'mesh.db', 'file:mesh.db'])(
  'migrate up on %s creates it, for its owner alone',
  async (url) => {
    using folder = temporaryFolder()
    const { code, stdout, stderr } = await runCommand(['migrate', 'up', '--url', url], { cwd: folder.path })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [made, ...applied] = stdout.split('\n')
    expect(made).toBe(`Made ${folder.file('mesh.db')}, which was not there.`)
    expect(applied.join('\n')).toMatch(/^Applied 0000_create_tables in \d+ ms\.\n(Applied \w+ in \d+ ms\.\n)*$/)
    expect(readdirSync(folder.path)).toEqual(['mesh.db'])
    expect(statSync(folder.file('mesh.db')).mode & 0o777).toBe(0o600)
    const again = await changingNothing(folder.path, () =>
      runCommand(['migrate', 'up', '--url', url], { cwd: folder.path }),
    )
    expect(again).toEqual({ code: 0, stdout: 'Nothing was pending.\n', stderr: '' })
  },
)

test('--url is stronger than DATABASE_URL, and the last --url than the first', async () => {
  using folder = temporaryFolder()
  const env = { DATABASE_URL: folder.file('environment.db') }
  await runCommand(['migrate', 'up', '--url', folder.file('option.db')], { env })
  expect(readdirSync(folder.path)).toEqual(['option.db'])
  await runCommand(['migrate', 'up'], { env })
  expect(readdirSync(folder.path).sort()).toEqual(['environment.db', 'option.db'])
  await runCommand(['migrate', 'up', '--url', folder.file('first.db'), '--url', folder.file('last.db')], { env })
  expect(existsSync(folder.file('first.db'))).toBe(false)
  expect(existsSync(folder.file('last.db'))).toBe(true)
})

describe('without the rights', () => {
  test('to create the file, up is refused in one line', async () => {
    using folder = temporaryFolder()
    chmodSync(folder.path, 0o755)
    mkdirSync(folder.file('closed'), { mode: 0o555 })
    for (const name of ['mesh.db', 'deeper/mesh.db']) {
      const args = ['migrate', 'up', '--url', folder.file('closed', name)]
      const ran = await runCommand(args, { unprivileged: true })
      expect(ran).toMatchObject({ code: 2, stdout: '' })
      expect(ran.stderr).toMatch(/^CONFIG: .*cannot be created\. .*#config\n$/)
    }
  })

  test('to write the file, up fails in one line, and status works', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    chmodSync(path, 0o444)
    chmodSync(folder.path, 0o555)
    await changingNothing(folder.path, async () => {
      const ran = await runCommand(['migrate', 'up', '--url', path], { unprivileged: true })
      expect(ran).toMatchObject({ code: 1, stdout: '' })
      expect(ran.stderr).toMatch(/^READ_ONLY: [^\n]*\n$/)
      expect(await runCommand(['migrate', 'status', '--url', path], { unprivileged: true })).toMatchObject({ code: 3 })
    })
    chmodSync(folder.path, 0o755)
  })

  test('to make files beside the file, a store that only reads is refused', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await (await openStorage(path)).close()
    chmodSync(path, 0o644)
    chmodSync(folder.path, 0o555)
    const ran = await runCommand(['inspect', 'nodes', '--url', path], { unprivileged: true })
    expect(ran).toMatchObject({ code: 2, stdout: '' })
    expect(ran.stderr).toMatch(/^CONFIG: .*Open a copy in a folder that can be written\./)
    chmodSync(folder.path, 0o755)
  })

  test('to write to a place, a replica is refused', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await (await openStorage(path)).close()
    chmodSync(path, 0o666)
    chmodSync(folder.path, 0o777)
    mkdirSync(folder.file('closed'), { mode: 0o555 })
    for (const to of [folder.file('closed'), folder.file('closed', 'replica')]) {
      const args = ['replicate', '--url', path, '--once', '--to', to]
      const ran = await runCommand(args, { unprivileged: true })
      expect(ran).toMatchObject({ code: 2, stdout: '' })
      expect(ran.stderr).toMatch(/^CONFIG: The system denies access .*EACCES/)
    }
  })

  test('to make the copy, up fails in one line, and nothing is changed', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    chmodSync(folder.path, 0o777)
    chmodSync(path, 0o666)
    mkdirSync(folder.file('closed'), { mode: 0o555 })
    const args = ['migrate', 'up', '--url', path, '--backup', folder.file('closed', 'copy.db')]
    const before = readdirSync(folder.path)
    const ran = await runCommand(args, { unprivileged: true })
    expect(ran.stderr).toMatch(ONE_LINE)
    expect(ran.stderr).toMatch(/^READ_ONLY: /)
    expect(ran.stderr).not.toContain('partial')
    expect(ran).toMatchObject({ code: 1, stdout: '' })
    expect(readdirSync(folder.path)).toEqual(before)
  })
})

test('a damaged file is for a person to look at, and stays as it is', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await runCommand(['migrate', 'up', '--url', path])
  copyFileSync(path, folder.file('whole.db'))
  writeFileSync(path, Buffer.alloc(4_096, 0xff), { flag: 'r+' })
  for (const command of COMMANDS) {
    const ran = await changingNothing(folder.path, () => runCommand(['migrate', command, '--url', path]))
    expect(ran).toMatchObject({ code: 4, stdout: '' })
    expect(ran.stderr).toMatch(/^CORRUPT: [^\n]+\n$/)
  }
})
