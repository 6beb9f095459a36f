/** `meshstore copy`, in a process of its own. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { documentOf, MAIN, ONE_LINE, runCommand, runProgram } from '../cli/support/command.ts'
import { temporaryFolder } from '../support/folders.ts'
import { counts, directions, filled, kinds, ownHash, sqlite } from './support/places.ts'
import { forPostgres, plain } from './support/rows.ts'

describe.each(directions)('from $names.0 to $names.1', ({ from, to }) => {
  const rows = from === sqlite ? plain(5) : forPostgres(plain(5))

  test('says what it will do, does it, and says so', async () => {
    await using source = await filled(await from.open(), rows)
    await using target = await to.open()
    const copy = (...args: string[]) => runCommand(['copy', '--from', source.url, '--to', target.url, ...args])
    const what = `5 nodes, 5 policies, 5 cached paths from ${from.name} to ${to.name}.`
    expect(await copy('--dry-run')).toEqual({ code: 0, stdout: `Would copy ${what}\n`, stderr: '' })
    expect(await copy()).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        new RegExp(`^Copied ${what} Compared: all of it has arrived\\.\nApplied 0000_\\w+ to the target\\.\n`),
      ),
      stderr: '',
    })
    expect(await ownHash(target)).toBe(await ownHash(source))
    const again = await copy()
    expect(again).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(ONE_LINE) })
    expect(again.stderr).toContain('Name an empty database')
  })
})

describe.each(kinds)('from SQLite to $name', (to) => {
  test('--json: one document, with hashes; the source is $DATABASE_URL; --skip-cache', async () => {
    await using source = await filled(await sqlite.open(), plain(3))
    await using target = await to.open()
    const ran = await runCommand(['copy', '--to', target.url, '--json', '--skip-cache'], {
      env: { DATABASE_URL: source.url },
    })
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    const document = documentOf(ran)
    const copied = { rows: 3, refused: 0, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }
    expect(document).toMatchObject({ from: 'sqlite', to: to.dialect, dryRun: false, refusedRows: [] })
    expect(document.tables).toEqual({ nodes: copied, policies: copied })
    expect(await counts(target)).toEqual({ nodes: 3, policies: 3, path_cache: 0 })
  })

  test('bad rows are named on stderr, each on a line, and written out if that is asked for', async () => {
    using folder = temporaryFolder()
    await using source = await filled(await sqlite.open(), plain(4))
    await source.other.corrupt('nodes', 'n-1', { updated_at: 'secret' })
    await source.other.corrupt('policies', 'p-2', { rules_count: 0.5 })
    await using target = await to.open()
    const copy = (...args: string[]) => runCommand(['copy', '--from', source.url, '--to', target.url, ...args])
    const lines = 'nodes "n-1": updated_at is no time\npolicies "p-2": rules_count is no integer\n'
    const dry = await copy('--dry-run')
    expect(dry).toMatchObject({
      code: 4,
      stderr: lines,
      stdout: expect.stringContaining('Would copy 3 nodes, 3 policies'),
    })
    const refused = await copy()
    expect(refused).toMatchObject({ code: 4, stdout: '' })
    expect(refused.stderr).toMatch(
      new RegExp(`^${lines}CORRUPT: 2 rows cannot live in ${to.name}; nothing was changed\\.`),
    )
    expect(refused.stderr).not.toContain('secret')
    const asJson = await copy('--json')
    expect(documentOf(asJson)).toMatchObject({
      error: { code: 'CORRUPT', issues: [{}, {}] },
      refusedRows: [
        { table: 'nodes', key: '"n-1"', column: 'updated_at', message: 'is no time' },
        { table: 'policies' },
      ],
    })
    expect(existsSync(target.url)).toBe(false)
    const quarantine = folder.file('bad.ndjson')
    const done = await copy('--quarantine', quarantine)
    expect(done).toMatchObject({ code: 0, stderr: lines })
    expect(done.stdout).toContain(`2 that cannot live there are in ${quarantine}.`)
    expect(readFileSync(quarantine, 'utf8').trimEnd().split('\n')).toHaveLength(2)
    expect(await counts(target)).toEqual({ nodes: 3, policies: 3, path_cache: 4 })
  })
})

test('what cannot be used is a sentence, and exits with 2; what is away with 5', async () => {
  await using source = await filled(await sqlite.open())
  const wrong: [readonly string[], number, RegExp][] = [
    [[], 2, /^USAGE: .*--to/],
    [['--to', 'x.db'], 2, /^CONFIG: From which database\?/],
    [['--from', `${source.url}-none`, '--to', `${source.url}-new`], 2, /^CONFIG: There is no database at/],
    [['--from', source.url, '--to', source.url], 2, /^CONFIG: Source and target are the same/],
    [['--from', source.url, '--to', 'postgres://me:hunter2@127.0.0.1:1/mesh'], 5, /^UNAVAILABLE: /],
    [['--from', 'postgres://me:hunter2@127.0.0.1:1/mesh', '--to', `${source.url}-new`], 5, /^UNAVAILABLE: /],
    [['--from', source.url, '--to', 'x.db', 'postgres://me:hunter2@h/d'], 2, /^USAGE: /],
  ]
  for (const [args, code, said] of wrong) {
    const ran = await runCommand(['copy', ...args])
    expect(ran).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(ONE_LINE) })
    expect(ran.stderr).toMatch(said)
    expect(ran.stderr).not.toContain('hunter2')
  }
  expect(existsSync(`${source.url}-new`)).toBe(false)
})

const terminal = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0
if (!terminal)
  console.warn('!! NO script(1) HERE: progress on a terminal is not tested. Install util-linux to test it.')

test.runIf(terminal)('a terminal is shown how far each step is, and has its cursor back', async () => {
  await using source = await filled(await sqlite.open(), plain(450))
  await using target = await sqlite.open()
  const line = [process.execPath, MAIN, 'copy', '--from', source.url, '--to', target.url].join(' ')
  const { code, stdout } = await runProgram('script', ['-qec', line, '/dev/null'], { env: { TERM: 'xterm' } })
  expect(code).toBe(0)
  for (const step of ['Checking', 'Copying', 'Comparing']) expect(stdout).toMatch(new RegExp(`${step} .*\\d+%`))
  const [shown, rest = ''] = stdout.split(/(?=Copied 450)/)
  expect(shown?.lastIndexOf('\u001b[?25h')).toBeGreaterThan(shown?.lastIndexOf('\u001b[?25l') ?? 0)
  expect(rest).not.toContain('\u001b')
})

test('--help on each level', async () => {
  expect((await runCommand(['--help'])).stdout).toMatch(/^ {2}copy /m)
  const { code, stdout } = await runCommand(['copy', '--help'])
  expect(code).toBe(0)
  for (const option of [
    '--from',
    '--to',
    '--dry-run',
    '--skip-cache',
    '--quarantine',
    '--wait',
    '--json',
    'Exit codes',
  ])
    expect(stdout).toContain(option)
})
