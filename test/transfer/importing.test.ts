/** `meshstore import` as it is called; and beside others, and when it is killed. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { MAIN, runCommand } from '../cli/support/command.ts'
import { lastingBackends } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { gate } from '../support/gate.ts'
import { node } from '../support/samples.ts'
import { fileOf, imported, nodeLine, pathLine, policyLine } from './support/transferred.ts'

describe('the command', () => {
  test('creates a file, says what it did, and names each line that it refuses', async () => {
    using folder = temporaryFolder()
    const database = folder.file('mesh.db')
    const file = folder.write(
      'mesh.ndjson',
      fileOf([nodeLine('a'), policyLine('p', { yaml_content: 7 }), nodeLine('')]),
    )
    const run = (...args: string[]) => runCommand(['import', file, '--url', database, ...args])
    const lines =
      'line 3 (policies "p"): yaml_content must be a string\nline 4 (nodes): node_id must be 1–255 characters\n'
    const nothing =
      '2 lines refused.\nNothing is imported. Correct them, or leave them out with --skip-refused.\nFor keys that are there already: --on-conflict skip, or replace.\n'
    expect(await run('--dry-run')).toEqual({
      code: 4,
      stderr: lines,
      stdout: `What would become of it; nothing was changed:\nnodes: 1 added\n${nothing}`,
    })
    expect(await run()).toEqual({ code: 4, stderr: lines, stdout: nothing })
    expect(existsSync(database)).toBe(false)
    expect(await run('--skip-refused')).toEqual({
      code: 4,
      stderr: lines,
      stdout: `Made ${database}, which was not there.\nnodes: 1 added\n2 lines refused.\n`,
    })
    const again = await run('--json', '--on-conflict', 'replace', '--skip-refused')
    expect(JSON.parse(again.stdout)).toMatchObject({
      format: 'meshstore-ndjson',
      imported: true,
      dryRun: false,
      rows: { nodes: { added: 0, replaced: 1, skipped: 0 } },
      refused: 2,
      refusals: [
        { line: 3, table: 'policies', key: 'p', column: 'yaml_content', message: 'must be a string' },
        { line: 4, table: 'nodes', column: 'node_id' },
      ],
    })
  })

  test('reads stdin, and the map of the example', async () => {
    using folder = temporaryFolder()
    const database = folder.file('mesh.db')
    const child = spawn(process.execPath, [MAIN, 'import', '-', '--url', database])
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stdin.end(readFileSync(new URL('../../examples/abilene.json', import.meta.url)))
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0)
    expect(stdout).toBe(`Made ${database}, which was not there.\nnodes: 11 added\n`)
  })

  test('counts what is refused of a map, and says what to do about keys that are there', async () => {
    using folder = temporaryFolder()
    const database = folder.file('mesh.db')
    const map = new URL('../../examples/abilene.json', import.meta.url).pathname
    const run = (...args: string[]) => runCommand(['import', map, '--url', database, ...args])
    await run()
    const again = await run()
    expect(again).toMatchObject({ code: 4, stdout: expect.stringMatching(/^11 problems\.\nNothing is imported\./) })
    expect(again.stdout).toContain('--on-conflict skip')
    expect(again.stderr.split('\n')).toHaveLength(11 + 1)
    expect((await run('--on-conflict', 'skip')).stdout).toBe('nodes: 11 left as they are\n')
  })

  test('refuses what it cannot use', async () => {
    using folder = temporaryFolder()
    const database = folder.file('mesh.db')
    const file = folder.write('x', 'x')
    for (const [path, ...args] of [[folder.file('none')], [folder.path], [file], [file, '--on-conflict', 'merge']])
      expect(await runCommand(['import', path ?? '', '--url', database, ...args])).toMatchObject({
        code: 2,
        stdout: '',
      })
    expect(await runCommand(['import', file, '--url', 'sqlite::memory:'])).toMatchObject({ code: 2 })
    expect(readdirSync(folder.path)).toEqual(['x'])
  })

  test('that is killed has imported nothing', async () => {
    using folder = temporaryFolder()
    const database = folder.file('mesh.db')
    await (await openStorage(database)).close()
    const pad = 'x'.repeat(1_000_000)
    const lines = Array.from({ length: 60 }, (_, n) => {
      const value = { source: `a-${n}`, destination: 'z', primary: [], pad }
      return pathLine(`a-${n}`, { bundle_json: JSON.stringify(value) })
    })
    const file = folder.write('mesh.ndjson', fileOf(lines))
    const child = spawn(process.execPath, [MAIN, 'import', file, '--url', database])
    const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_, signal) => resolve(signal)))
    // Pages that do not fit into the cache are in the log before the commit.
    const logged = (): number => statSync(`${database}-wal`, { throwIfNoEntry: false })?.size ?? 0
    while (child.exitCode === null && logged() < 20_000_000) await new Promise((next) => setTimeout(next, 1))
    child.kill('SIGKILL')
    expect(await ended).toBe('SIGKILL')
    await using store = await openStorage(database)
    expect((await store.stats()).rows.pathCache).toBe(0)
  })
})

describe.each(lastingBackends)('on $name', (backend) => {
  test.each(['commits', 'rolls back'])('waits for another one with the same key, which %s', async (end) => {
    await using opened = await backend.open()
    const [inside, over] = [gate(), gate()]
    const other = opened.store
      .transaction(
        async (tx) => {
          await tx.nodes.create(node('a'))
          inside.open()
          await over.opened
          if (end === 'rolls back') throw new Error(end)
        },
        { timeoutMs: 30_000 },
      )
      .catch(() => {})
    await inside.opened
    const importing = imported(opened.url, fileOf([nodeLine('a'), nodeLine('b')]))
    // A dry run waits for nobody, and sees nothing of what is not committed.
    const dry = await imported(opened.url, fileOf([nodeLine('a'), nodeLine('b')]), { dryRun: true })
    expect(dry).toMatchObject({ refused: [], report: { rows: { nodes: { added: 2 } } } })
    over.open()
    await other
    const { report, refused } = await importing
    if (end === 'commits') expect(refused).toEqual(['2 is there already'])
    else expect(report).toMatchObject({ imported: true, rows: { nodes: { added: 2 } } })
    expect(await opened.store.nodes.count()).toBe(end === 'commits' ? 1 : 2)
  })
})
