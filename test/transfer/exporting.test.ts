/** One moment, in constant memory; what cannot be read is named; nothing looks finished that is not. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { fileOutput } from '../../src/transfer/index.ts'
import { MAIN, runCommand } from '../cli/support/command.ts'
import { Program } from '../sqlite/support/program.ts'
import { lastingBackends, sqliteFile } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../support/samples.ts'
import { exported, fileOf, imported, nodeLine, pathLine, policyLine } from './support/transferred.ts'

const WRITER = new URL('programs/writer.ts', import.meta.url).pathname

describe.each(lastingBackends)('on $name', (backend) => {
  test('what is written meanwhile is not in it', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.createMany(manyNodes(1_000, 'b'))
    await store.policies.create(policy('b'))
    const before = await exported(opened.url)
    let turn = 0
    const during = await exported(opened.url, {
      onWrite: async () => {
        turn++
        await store.nodes.createMany([node(`a-${turn}`), node(`c-${turn}`)])
        await store.nodes.save(node('b-0999', { protocols: ['changed'] }))
        await store.policies.save(policy('a'))
        await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
        await store.nodes.delete('b-0998')
      },
    })
    expect(turn).toBeGreaterThan(5)
    expect(during.text).toBe(before.text)
  })

  test('another process writes pairs: none is half', async () => {
    await using opened = await backend.open()
    await using writer = new Program(process.execPath, [WRITER, opened.url])
    await writer.line()
    let most = 0
    for (let round = 0; round < 5; round++) {
      await writer.line()
      const { report } = await exported(opened.url)
      expect(report.rows.nodes).toBe(report.rows.policies)
      most = Math.max(most, report.rows.nodes ?? 0)
    }
    expect(most).toBeGreaterThan(1)
  })

  test('rows that break the rules are named, and keep the export from being complete', async () => {
    await using opened = await backend.open()
    const { store, other } = opened
    await store.nodes.createMany([node('a'), node('bad-"1"'), node('z')])
    await store.policies.create(policy('bad'))
    await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    await other.corrupt('nodes', 'bad-"1"', { interfaces: '{"secret": 1}' })
    await other.corrupt('policies', 'bad', { created_at: 1e300 })
    await other.corrupt('path_cache', 'a:b:3', { bundle_json: 'secret' })
    const invalid = [
      'nodes "bad-\\"1\\"" interfaces is no JSON array',
      'policies "bad" created_at is no time',
      'path_cache "a:b:3" bundle_json is not valid JSON',
    ]
    const broken = await exported(opened.url)
    expect(broken).toMatchObject({ invalid, report: { complete: false, invalid: 3 } })
    expect(broken.text).not.toContain('"end"')
    const skipping = await exported(opened.url, { skipInvalid: true })
    expect(skipping).toMatchObject({ invalid, report: { complete: true, rows: { nodes: 2, policies: 0 } } })
    using folder = temporaryFolder()
    expect(await imported(folder.file('mesh.db'), skipping.text)).toMatchObject({ refused: [] })
  })

  test('the tables that are asked for', async () => {
    await using opened = await backend.open()
    await imported(opened.url, fileOf([nodeLine('a'), policyLine('b'), pathLine('c')]))
    const { rows, report } = await exported(opened.url, { tables: ['policies'] })
    expect(rows).toEqual([JSON.stringify(policyLine('b'))])
    expect(report.rows).toEqual({ policies: 1 })
    const all = await exported(opened.url)
    expect(all.rows).toEqual([nodeLine('a'), policyLine('b'), pathLine('c')].map((row) => JSON.stringify(row)))
    expect(JSON.parse(all.text.split('\n', 1)[0] ?? '')).toMatchObject({
      format: 'meshstore-ndjson',
      version: 1,
      schema: (await opened.store.stats()).schemaVersion,
    })
  })
})

test('texts that are no UTF-8, and integers that are no doubles', async () => {
  await using opened = await sqliteFile.open()
  await opened.store.nodes.createMany([node('a'), node('b'), node('c-\ufffd')])
  await opened.other.execute(`UPDATE nodes SET protocols = CAST(x'5b22f09f98225d' AS TEXT) WHERE node_id = 'a';
    UPDATE nodes SET routes_discovered = 9007199254740993 WHERE node_id = 'b';
    INSERT INTO nodes SELECT CAST(x'f09f98' AS TEXT), '[]', '[]', 0, 0, 1.0, 1.0;
    INSERT INTO nodes SELECT x'00ff', '[]', '[]', 0, 0, 1.0, 1.0`)
  const { invalid, rows } = await exported(opened.url)
  expect(invalid).toEqual([
    'nodes "a" protocols is no UTF-8',
    'nodes "b" routes_discovered is too large an integer',
    'nodes (a key that is no text) node_id is no UTF-8',
    'nodes (a key that is no text) node_id is no text',
  ])
  expect(rows).toHaveLength(1)
})

describe('the command', () => {
  test('writes a file of its own that others cannot read, and never replaces one', async () => {
    using folder = temporaryFolder()
    const [database, file] = [folder.file('mesh.db'), folder.file('new', 'mesh.ndjson')]
    await imported(database, fileOf([nodeLine('a')]))
    const first = await runCommand(['export', '--url', database, '-o', file, '--json'])
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(first.stdout)).toMatchObject({ complete: true, file, rows: { nodes: 1, policies: 0 } })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder.file('new'))).toEqual(['mesh.ndjson'])
    const text = readFileSync(file, 'utf8')
    expect(await runCommand(['export', '--url', database, '-o', file])).toMatchObject({ code: 2 })
    expect(readFileSync(file, 'utf8')).toBe(text)
    const piped = await runCommand(['export', '--url', database])
    expect(piped.stdout.split('\n').slice(1)).toEqual(text.split('\n').slice(1))
    expect(piped.stderr).toBe('Exported 1 row of nodes, 0 rows of policies, 0 rows of path_cache.\n')
  })

  test('ends with 4 where rows break the rules, and leaves no file', async () => {
    await using opened = await sqliteFile.open()
    using folder = temporaryFolder()
    await opened.store.nodes.createMany([node('a'), node('b')])
    await opened.other.corrupt('nodes', 'b', { protocols: 'x' })
    const file = folder.file('mesh.ndjson')
    const refused = await runCommand(['export', '--url', opened.path, '-o', file])
    expect(refused).toMatchObject({ code: 4, stderr: 'nodes "b": protocols is not valid JSON\n' })
    expect(readdirSync(folder.path)).toEqual([])
    expect(await runCommand(['export', '--url', opened.path, '-o', file, '--skip-invalid'])).toMatchObject({ code: 0 })
    expect(readdirSync(folder.path)).toEqual(['mesh.ndjson'])
  })

  test('that is killed leaves no finished file', async () => {
    using folder = temporaryFolder()
    const database = await bigDatabase(folder.file('mesh.db'))
    const child = spawn(process.execPath, [MAIN, 'export', '--url', database, '-o', folder.file('out', 'mesh.ndjson')])
    const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_, signal) => resolve(signal)))
    while (child.exitCode === null && partialSize(folder.file('out')) === 0)
      await new Promise((next) => setTimeout(next, 1))
    child.kill('SIGKILL')
    expect(await ended).toBe('SIGKILL')
    expect(readdirSync(folder.file('out'))).toEqual([expect.stringMatching(/^mesh\.ndjson\.partial-/)])
  })

  test('whose reader goes away does not crash', async () => {
    using folder = temporaryFolder()
    const database = await bigDatabase(folder.file('mesh.db'))
    const child = spawn(process.execPath, [MAIN, 'export', '--url', database])
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    child.stdout.once('data', () => child.stdout.destroy())
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(1)
    expect(errors).toEqual(expect.stringMatching(/^EPIPE: .* The output is not complete: .*\n$/))
  })

  test('refuses a database that is not there, one in memory, and unknown tables', async () => {
    using folder = temporaryFolder()
    for (const url of [folder.file('none.db'), 'sqlite::memory:'])
      expect(await runCommand(['export', '--url', url])).toMatchObject({ code: 2, stdout: '' })
    expect(await runCommand(['export', '--url', 'x', '--table', 'links'])).toMatchObject({ code: 2, stdout: '' })
    expect(readdirSync(folder.path)).toEqual([])
  })
})

test('a file whose name is taken meanwhile is left as it is', async () => {
  using folder = temporaryFolder()
  const output = await fileOutput(folder.file('mesh.ndjson'))
  await output.write('ours')
  folder.write('mesh.ndjson', 'theirs')
  await expectCode(output.finish(), 'CONFIG')
  expect(readdirSync(folder.path)).toEqual(['mesh.ndjson'])
  expect(readFileSync(folder.file('mesh.ndjson'), 'utf8')).toBe('theirs')
})

/** 100 MB. */
async function bigDatabase(path: string): Promise<string> {
  await using store = await openStorage(path)
  const pad = 'x'.repeat(1_000_000)
  for (let n = 0; n < 100; n++) await store.pathCache.set(pathKey(`a-${n}`, 'b'), { ...bundle('a', 'b'), pad } as never)
  return path
}

function partialSize(folder: string): number {
  try {
    const [partial] = readdirSync(folder)
    return partial === undefined ? 0 : statSync(`${folder}/${partial}`).size
  } catch {
    return 0
  }
}
