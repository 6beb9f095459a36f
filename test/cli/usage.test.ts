/** How the command is called: help on every level, and what it says of arguments that it does not know. */
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { temporaryFolder } from '../support/folders.ts'
import { documentOf, ONE_LINE, runCommand } from './support/command.ts'
import { runInside } from './support/inside.ts'

const COMMANDS = ['up', 'status', 'plan', 'adopt', 'repair']

/** Every command that the help names, at whatever depth. */
async function levelsBelow(level: readonly string[]): Promise<(readonly string[])[]> {
  const { stdout } = await runInside([...level, '--help'])
  const [, listed = ''] = stdout.split('\nCommands:\n')
  const names = [...(listed.split('\n\n')[0] ?? '').matchAll(/^ {2}(\w+)/gm)].map(([, name = '']) => name)
  const below = []
  for (const name of names) below.push(...(await levelsBelow([...level, name])))
  return [level, ...below]
}

const LEVELS = await levelsBelow([])

describe.each(LEVELS.map((level) => [level.join(' ') || 'no command', level] as const))(
  'the help of %s',
  (_, level) => {
    test.each(['--help', '-h'])('is asked for with %s', async (option) => {
      const { code, stdout, stderr } = await runInside([...level, option])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/^Usage: meshstore/)
      expect(stdout).toContain(['meshstore', ...level].join(' '))
      // The exit codes, every one.
      expect(stdout).toContain('Exit codes:')
      // Last, and no line longer than a terminal is wide.
      expect(stdout.split('\nExit codes:\n')).toHaveLength(2)
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
      for (const each of [0, 1, 2, 3, 4, 5]) expect(stdout).toMatch(new RegExp(`^ {2}${each} {2}\\S`, 'm'))
    })
  },
)

test('a process of its own says the same', async () => {
  for (const args of [['--help'], ['migrate', 'up', '-h'], ['migrate', 'nope'], ['migrate', 'status', '--wait', '-1']])
    expect(await runCommand(args)).toEqual(await runInside(args))
})

test('the help names every command', () => {
  expect(LEVELS).toEqual(expect.arrayContaining([[], ['migrate'], ...COMMANDS.map((command) => ['migrate', command])]))
})

test('the help of a command names its options, and looks at no database', async () => {
  const env = { DATABASE_URL: '/nowhere/mesh.db' }
  for (const command of COMMANDS) {
    const { code, stdout } = await runCommand(['migrate', command, '--help'], { env })
    expect(code).toBe(0)
    for (const option of ['--url', '--wait', '--json']) expect(stdout).toContain(option)
  }
  expect((await runCommand(['migrate', 'adopt', '--help'])).stdout).toMatch(/--quarantine[\s\S]*--dry-run/)
  expect((await runCommand(['migrate', 'repair', '--help'])).stdout).toMatch(/--dry-run/)
  expect((await runCommand(['export', '--help'])).stdout).toMatch(
    /^Writes nodes, policies, cached paths and own tables/m,
  )
})

test('help is asked for in words, too', async () => {
  expect(await runInside(['help'])).toEqual(await runInside(['--help']))
  expect(await runInside(['help', 'migrate', 'up'])).toEqual(await runInside(['migrate', 'up', '--help']))
})

test.each(['--version', '-V'])('%s prints the version of the package', async (option) => {
  expect(await runCommand([option])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' })
})

test.each([[[]], [['migrate']]])(
  'without a command (%j) it prints the help on stderr, and has done nothing',
  async (args) => {
    const { code, stdout, stderr } = await runCommand(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^Usage: meshstore/)
  },
)

const WRONG: readonly (readonly [args: string[], named: string])[] = [
  [['nope'], 'nope'],
  [['migrate', 'nope'], 'nope'],
  [['--nope'], '--nope'],
  [['migrate', '--nope'], '--nope'],
  [['migrate', 'status', '--nope'], '--nope'],
  [['migrate', 'status', '--dry-run'], '--dry-run'],
  [['migrate', 'up', '--quarantine', 'rows.ndjson'], '--quarantine'],
  [['migrate', 'status', 'mesh.db'], 'argument'],
  [['migrate', 'status', '--url'], '--url'],
  [['migrate', 'status', '--wait', 'soon', '--url', 'mesh.db'], '--wait'],
  [['migrate', 'status', '--wait', '-1', '--url', 'mesh.db'], '--wait'],
  [['migrate', 'status', '--wait', '', '--url', 'mesh.db'], '--wait'],
  [['migrate', 'status', '--wait', '86401', '--url', 'mesh.db'], '--wait'],
  [['migrate', 'status', '--wait', 'NaN', '--url', 'mesh.db'], '--wait'],
  [['migrate', 'sttus', '--url', 'mesh.db'], 'sttus'],
]

test.each(WRONG)(
  '%j is refused: exit code 2, the reason on stderr, nothing on stdout, nothing done',
  async (args, named) => {
    using folder = temporaryFolder()
    const { code, stdout, stderr } = await runCommand(args, { cwd: folder.path })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(named)
    expect(stderr).not.toMatch(/^\s+at /m)
    expect(readdirSync(folder.path)).toEqual([])
  },
)

test('what is refused so is said in one line, with a code, as every other error', async () => {
  for (const [args] of WRONG) expect((await runInside(args)).stderr).toMatch(ONE_LINE)
})

test('with --json, a refused argument is a JSON document too', async () => {
  for (const args of [['--wait', 'soon'], ['--nope'], ['mesh.db']]) {
    const ran = await runCommand(['migrate', 'status', '--json', ...args])
    expect(ran.code).toBe(2)
    expect(documentOf(ran)).toMatchObject({ error: { message: expect.any(String), retryable: false } })
  }
})

test.each(['0', '0.5', '1.5', '2.01', '4.35', '0.0001', '1e1', '86400'])(
  '--wait %s is a number of seconds',
  async (wait) => {
    using folder = temporaryFolder()
    const { code, stderr } = await runInside(['migrate', 'up', '--wait', wait, '--url', folder.file('mesh.db')])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  },
)

test('an environment that is odd changes nothing: NO_COLOR, FORCE_COLOR, a locale, NODE_ENV', async () => {
  const plain = await runCommand(['migrate', 'status', '--help'])
  const env = { FORCE_COLOR: '1', LC_ALL: 'de_DE.UTF-8', LANG: 'tr_TR', NODE_ENV: 'production', COLUMNS: '20' }
  expect(await runCommand(['migrate', 'status', '--help'], { env })).toEqual(plain)
})
