/** The commands that show a database, without a browser and with one: stats, inspect, studio. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { makeFile } from '../adoption/support/client.ts'
import { nodeRow } from '../adoption/support/ddl.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, manyNodes, pathKey, policy } from '../support/samples.ts'
import { runCommand } from './support/command.ts'

async function fill(url: string): Promise<void> {
  await using store = await openStorage(url)
  await store.nodes.createMany(manyNodes(30))
  await store.policies.create(policy('default'))
  await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 3_600 })
}

async function shows(url: string): Promise<void> {
  const stats = JSON.parse((await runCommand(['stats', '--json', '--url', url])).stdout)
  expect(stats).toMatchObject({ rows: { nodes: 30, policies: 1, pathCache: 1 }, expiredPaths: 0, validPaths: 1 })
  expect((await runCommand(['stats', '--url', url])).stdout).toMatch(/^Nodes {9}30\nPolicies {6}1\nCached paths {2}1, /)

  const few = await runCommand(['inspect', '--url', url])
  expect(few.stdout.split('\n').filter((line) => line.startsWith('  '))).toHaveLength(5 + 1 + 1)
  expect(few.stdout).toMatch(/^Nodes \(30\):\n[\s\S]*\nPolicies \(1\):\n[\s\S]*\nCached paths \(1\):\n {2}a → b {2}k=/)

  const first = JSON.parse(
    (await runCommand(['inspect', 'nodes', '--json', '--limit', '3', '--url', url])).stdout,
  ).nodes
  expect(first).toHaveLength(3)
  const args = ['inspect', 'nodes', '--json', '--after', first[2].nodeId, '--url', url]
  const next = JSON.parse((await runCommand(args)).stdout).nodes
  expect(next).toHaveLength(20)
  expect(next[0].nodeId > first[2].nodeId).toBe(true)

  const page = await runCommand(['inspect', 'nodes', '--limit', '3', '--url', url])
  expect(page.stdout).toContain(`\n  … and more: --after "${first[2].nodeId}"\n`)
  expect((await runCommand(['inspect', 'nodes', '--limit', '30', '--url', url])).stdout).not.toContain('more')
  expect(await runCommand(['inspect', 'path_cache', '--url', url])).toEqual(
    await runCommand(['inspect', 'paths', '--url', url]),
  )

  const wrong = await runCommand(['inspect', 'links', '--url', url])
  expect(wrong).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('nodes, policies, paths') })
}

test('stats and inspect show what is in a file, and change nothing', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await fill(path)
  const before = readFileSync(path)
  await shows(path)
  expect(readFileSync(path).equals(before)).toBe(true)
  expect((await runCommand(['stats', '--url', folder.file('none.db')])).code).toBe(2)
})

test('what has been dropped is not counted as valid', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await fill(path)
  await runCommand(['cache', 'clear', '--url', path])
  const { stdout } = await runCommand(['stats', '--url', path])
  expect(stdout).toContain('\nCached paths  1, of which 0 are valid and 0 have expired\n')
})

test('of a file that is not ready it is said what to do', async () => {
  using folder = temporaryFolder()
  const empty = folder.write('empty.db', '')
  const another = await makeFile(folder.file('another.db'), [nodeRow({ routes_discovered: null })])
  for (const command of ['stats', 'inspect']) {
    const nothing = await runCommand([command, '--url', empty])
    expect(nothing).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('has no tables yet. Run meshstore migrate'),
    })
    const foreign = await runCommand([command, '--url', another])
    expect(foreign).toMatchObject({ code: 4, stderr: expect.stringContaining('meshstore migrate adopt --dry-run') })
  }
})

describePostgres('on PostgreSQL', () => {
  test('stats and inspect show the same', async () => {
    await using database = await createDatabase()
    await fill(database.url)
    await shows(database.url)
  })

  test('studio opens no copy, and says so', async () => {
    await using database = await createDatabase()
    const { code, stderr } = await runCommand(['studio', '--url', database.url])
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('--live') })
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function ask(port: number, sql: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'proxy', data: { sql, params: [], method: 'all' } }),
  })
  return response.json()
}

describe('studio', () => {
  test.each([
    ['a copy: what is changed there is gone', [], 'keeps'],
    ['with --live the database itself', ['--live'], 'loses'],
  ])('opens %s', async (_, flags, what) => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await fill(path)
    const port = await freePort()
    const env = { PATH: process.env.PATH ?? '', TMPDIR: folder.path }
    const source = join(import.meta.dirname, '../../src/cli/main.ts')
    const args = [source, 'studio', '--url', path, '--port', String(port), ...flags]
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const closed = once(child, 'close')
    let printed = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (printed += text))
    try {
      await vi.waitFor(() => expect(printed).toContain('up and running'), { timeout: 40_000, interval: 50 })
      expect(printed).toContain(flags.length > 0 ? 'This is the database itself' : 'This is a copy as of now')
      expect(await ask(port, 'SELECT count(*) AS n FROM nodes')).toEqual([{ n: 30 }])
      await ask(port, 'DELETE FROM nodes RETURNING node_id')
    } finally {
      child.kill('SIGTERM')
    }
    expect(await closed).toEqual([0, null])
    await using store = await openStorage(path)
    expect(await store.nodes.count()).toBe(what === 'keeps' ? 30 : 0)
    // Nothing is left of the copy.
    expect(readdirSync(folder.path).filter((name) => name.includes('studio'))).toEqual([])
  })
})
