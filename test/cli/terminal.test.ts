/** Output on a terminal, into a pipe that its reader closes, and into a file. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { makeFile } from '../adoption/support/client.ts'
import { nodeRow } from '../adoption/support/ddl.ts'
import { temporaryFolder } from '../support/folders.ts'
import { TAGS } from '../support/tags.ts'
import { documentOf, MAIN, runCommand, runProgram } from './support/command.ts'

/** More than a pipe holds, as JSON. */
const MANY = Array.from({ length: 3_000 }, (_, index) => nodeRow({ node_id: `n-${index}`, started: 'maybe' }))
/** A megabyte and more: several steps of a copy. */
const LARGE = Array.from({ length: 1_500 }, (_, index) =>
  nodeRow({ node_id: `n-${index}`, interfaces: JSON.stringify(['x'.repeat(2_000)]) }),
)
const shell = (text: string) => runProgram('bash', ['-c', text])
const quoted = (...words: string[]): string => words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
const command = (...args: string[]): string => quoted(process.execPath, MAIN, ...args)

const script = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0
if (!script) console.warn('!! NO script(1) HERE: progress on a terminal is not tested. Install util-linux to test it.')

describe.runIf(script)('on a terminal', () => {
  /** With stdout and stderr on a terminal, unless the command sends them elsewhere. */
  const onTerminal = (text: string) => runProgram('script', ['-qec', text, '/dev/null'], { env: { TERM: 'xterm' } })

  test('a copy shows how far it is, the bar is gone afterwards, and the cursor is back', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), LARGE)
    const { code, stdout } = await onTerminal(command('migrate', 'up', '--url', path))
    expect(code).toBe(0)
    expect(stdout).toMatch(/Copying the file .*\d+%/)
    expect(stdout).toContain('Kept 1,500 rows of nodes.')
    const [shown, rest = ''] = stdout.split(/(?=Copied the file)/)
    expect(shown).toContain('\u001b[?25h')
    expect(rest).not.toContain('\u001b')
  })

  test('a copy that fails leaves the cursor as it was', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [...LARGE, nodeRow({ started: 'maybe' })])
    const { code, stdout } = await onTerminal(command('migrate', 'up', '--url', path))
    expect(code).toBe(4)
    expect(stdout.lastIndexOf('\u001b[?25h')).toBeGreaterThanOrEqual(stdout.lastIndexOf('\u001b[?25l'))
  })

  test('--json on stdout is a document alone, with progress on the terminal', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), LARGE)
    const out = folder.file('out.json')
    const { code, stdout } = await onTerminal(`${command('migrate', 'up', '--json', '--url', path)} > ${quoted(out)}`)
    expect(code).toBe(0)
    expect(stdout).toMatch(/Copying the file/)
    const written = await shell(`cat ${quoted(out)}`)
    expect(documentOf(written)).toMatchObject({ applied: TAGS.map((tag) => ({ tag })) })
  })
})

test('where stderr is no terminal there is no progress and no escape sequence', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), LARGE)
  const env = { TERM: 'xterm-256color', FORCE_COLOR: '3', CLICOLOR_FORCE: '1' }
  const { code, stdout, stderr } = await runCommand(['migrate', 'up', '--url', path], { env })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  for (const sign of ['\u001b', '\r', '%']) expect(stdout).not.toContain(sign)
})

/** Into a pipe whose reader has gone before a word is written. */
const unread = (text: string): string => `exec 3> >(true); wait $!; ${text} >&3`

describe('when nobody reads stdout any more', () => {
  test.each(['--json', ''])('a long report %s ends quietly', async (option) => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), MANY)
    const args = ['migrate', 'status', '--url', path, ...(option ? [option] : [])]
    const { code, stdout, stderr } = await shell(`${command(...args)} | head -1; exit \${PIPESTATUS[0]}`)
    expect(stdout.split('\n').filter((line) => line !== '')).toHaveLength(1)
    expect(stderr).toBe('')
    expect(code).not.toBe(1)
  })

  test.each([
    ['help', ['--help']],
    ['a report', ['migrate', 'status']],
    ['an error', ['migrate', 'status', '--json', '--url', '/nowhere/mesh.db']],
  ])('%s ends without a stack', async (_, args) => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    const { stderr } = await shell(`export DATABASE_URL=${quoted(path)}; ${unread(command(...args))}`)
    expect(stderr).not.toMatch(/^\s+at |EPIPE|node:/m)
  })

  test('stdout that is closed is no crash', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    const { stderr } = await shell(`${command('migrate', 'status', '--url', path)} >&-`)
    expect(stderr).not.toMatch(/^\s+at |node:/m)
  })

  test.runIf(existsSync('/dev/full'))('a disk that is full is no reader who has had enough', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    const { code, stderr } = await shell(`${command('migrate', 'status', '--url', path)} > /dev/full`)
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^ENOSPC: The output could not be written, .*#internal\n$/),
    })
  })

  test('what was asked for is done all the same', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    await shell(unread(command('migrate', 'up', '--url', path)))
    expect((await runCommand(['migrate', 'status', '--url', path])).code).toBe(0)
  })
})
