/** The command: its exit codes, its two outputs, what it leaves alone, and what it needs. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { check } from '../../src/check/index.ts'
import { openStorage } from '../../src/index.ts'
import { makeFile } from '../adoption/support/client.ts'
import { nodeRow } from '../adoption/support/ddl.ts'
import { MAIN, runCommand, runProgram } from '../cli/support/command.ts'
import { Program } from '../sqlite/support/program.ts'
import { temporaryFolder } from '../support/folders.ts'
import { soundFile, wrong } from './support/sound.ts'

const WRITER = fileURLToPath(new URL('programs/writer.ts', import.meta.url))

test('exits with 0, 3 and 4 by the worst that it found, and with 2 and 5 if it could not look', async () => {
  using sound = await soundFile()
  const { path, execute } = sound
  const run = (...args: readonly string[]) => runCommand(['check', ...args])
  expect(await run('--url', path)).toMatchObject({ code: 0, stderr: '' })
  execute(
    "PRAGMA journal_mode = DELETE; CREATE INDEX also ON nodes (updated_at); DELETE FROM meshstore_state WHERE name = 'last_backup'",
  )
  const warned = await run('--url', path)
  expect(warned).toMatchObject({ code: 3, stderr: '' })
  expect(warned.stdout).toMatch(
    /^Warnings \(1\):\n {2}last-backup: .* → Run meshstore backup create.*\n\nFor information \(1\):\n/,
  )
  execute("UPDATE nodes SET interfaces = 'no' WHERE node_id = 'n-0001'")
  const failed = await run('--url', path)
  expect(failed).toMatchObject({ code: 4, stderr: '' })
  expect(failed.stdout).toMatch(/^Errors \(1\):\n {2}rows: nodes: interfaces of "n-0001" is not valid JSON\. → /)
  expect(await run('--url', path, '--quick')).toMatchObject({ code: 3 })

  expect(await run('--url', `${path}.not`)).toMatchObject({ code: 2, stderr: expect.stringMatching(/^CONFIG: /) })
  expect(await run()).toMatchObject({ code: 2 })
  expect(await run('--url', path, '--unknown')).toMatchObject({ code: 2 })
  expect(await run('--url', 'postgres://nobody@127.0.0.1:1/none')).toMatchObject({ code: 5 })
  const raw = new Sqlite(path)
  try {
    raw.exec('BEGIN EXCLUSIVE')
    expect(await run('--url', path, '--wait', '0.1')).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/^BUSY: /),
    })
  } finally {
    raw.close()
  }
})

test('prints one document with --json, and the same fields for every finding', async () => {
  using sound = await soundFile()
  sound.execute("UPDATE nodes SET interfaces = 'no' WHERE node_id = 'n-0001'")
  const { stdout } = await runCommand(['check', '--json', '--url', sound.path])
  expect(JSON.parse(stdout)).toEqual({
    dialect: 'sqlite',
    findings: [
      {
        severity: 'error',
        check: 'rows',
        message: 'nodes: interfaces of "n-0001" is not valid JSON.',
        advice: 'Correct or delete the row.',
        table: 'nodes',
        key: 'n-0001',
        column: 'interfaces',
      },
    ],
    counts: { error: 1, warning: 0, info: 0 },
    passed: expect.arrayContaining(['integrity', 'schema']),
    notChecked: [],
  })
})

test('shows one line for each finding, whatever others call their triggers', async () => {
  using sound = await soundFile()
  sound.execute('CREATE TRIGGER "a\u001b[2J\nb\u009bc" AFTER INSERT ON nodes BEGIN SELECT 1; END')
  const { code, stdout } = await runCommand(['check', '--url', sound.path])
  expect(code).toBe(0)
  expect(stdout).toContain('trigger a\ufffd[2J\ufffdb\ufffdc on nodes')
})

test('names each check once for people, and the reason once for what it did not look at', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
  const { code, stdout } = await runCommand(['check', '--url', path])
  expect(code).toBe(3)
  expect(stdout).toContain('  migrations: ')
  expect(stdout).not.toMatch(/found to be well: .*migrations/)
  expect(stdout).toMatch(/^Not looked at: move, last-backup, rows\. The schema is not up to date\.$/m)
  expect(stdout.match(/The schema is not up to date/g)).toHaveLength(1)
})

test('says in its help what the exit codes mean', async () => {
  const { stdout } = await runCommand(['check', '--help'])
  expect(stdout).toContain('3  something waits to be done: migrations are pending, or check has warnings')
  expect(stdout).toContain('--quick')
})

test('changes no byte of a file that nobody has open', async () => {
  using sound = await soundFile()
  const files = (): string[] =>
    readdirSync(sound.folder.path)
      .filter((name) => statSync(sound.folder.file(name)).isFile() && !name.endsWith('-shm'))
      .map(
        (name) =>
          `${name} ${createHash('sha256')
            .update(readFileSync(sound.folder.file(name)))
            .digest('hex')}`,
      )
  const before = files()
  expect((await runCommand(['check', '--url', sound.path])).code).toBe(0)
  // An empty log is what whoever may not write cannot take away.
  expect(files().filter((file) => !file.startsWith('mesh.db-wal'))).toEqual(before)
  expect(statSync(`${sound.path}-wal`, { throwIfNoEntry: false })?.size ?? 0).toBe(0)
})

test('works while another process writes, and does not end its writing', async () => {
  using sound = await soundFile()
  await using writer = new Program(process.execPath, [WRITER, sound.path])
  expect(await writer.answer()).toBe('writing')
  const size = (): bigint => statSync(`${sound.path}-wal`, { bigint: true }).mtimeNs
  for (let turn = 0; turn < 3; turn++) {
    const before = size()
    expect(await runCommand(['check', '--url', sound.path])).toMatchObject({ code: 0, stderr: '' })
    expect(size()).toBeGreaterThan(before)
  }
  await writer.kill()
  expect(wrong(await check(sound.path))).toEqual([])
})

test('works in the process that has the file open, and drops none of its locks', async () => {
  using sound = await soundFile()
  await using store = await openStorage(sound.path)
  await store.transaction(
    async (tx) => {
      await tx.nodes.create({ nodeId: 'inside', interfaces: [], protocols: [] })
      expect(wrong(await check(sound.path))).toEqual([])
      // Another process still finds it locked.
      const locked = `const Sqlite = require('better-sqlite3')
      const raw = new Sqlite(process.argv[1], { timeout: 10 })
      try { raw.exec('BEGIN IMMEDIATE'); console.log('had') } catch (error) { console.log(error.code) }`
      const cwd = fileURLToPath(new URL('../..', import.meta.url))
      const { stdout } = await runProgram(process.execPath, ['-e', locked, sound.path], { cwd })
      expect(stdout.trim()).toBe('SQLITE_BUSY')
    },
    { timeoutMs: 30_000 },
  )
})

test('needs no more memory for many rows that are wrong', async () => {
  using sound = await soundFile()
  // 100 MB in rows, all of which break a rule.
  sound.execute(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
    INSERT INTO nodes SELECT 'broken-' || i, '[1, "' || hex(zeroblob(500)) || '"]', '[]', 0, 0, 1.5, 2.5 FROM n`)
  expect(statSync(sound.path).size).toBeGreaterThan(100_000_000)
  const args = ['--max-old-space-size=40', MAIN, 'check', '--json', '--url', sound.path]
  const { code, stdout } = await runProgram(process.execPath, args)
  expect(code).toBe(4)
  const { findings, counts } = JSON.parse(stdout)
  expect(findings).toHaveLength(101)
  expect(counts.error).toBe(100_000)
})
