/** Equal contents make equal files: from SQLite through the command, a file and a server, and back, byte for byte. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { runCommand } from '../cli/support/command.ts'
import { type LastingBackend, lastingBackends } from '../support/backends.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { sqliteProgram } from '../support/other-program.ts'
import { bundle, manyNodes, pathKey, policy } from '../support/samples.ts'

const done = { code: 0, stderr: '' }

async function exportOf(url: string, file: string): Promise<Buffer> {
  expect(await runCommand(['export', '--url', url, '--output', file])).toMatchObject(done)
  return readFileSync(file)
}

/** More rows than a slice has, texts of any size, and what other programs wrote in their own spelling. */
async function filled(path: string, spelling: { list: string; time: string; order: 1 | -1 }): Promise<string> {
  const store = await openStorage({ url: path, now: () => new Date(1_700_000_000_123) })
  await store.nodes.createMany(manyNodes(450).sort((a, b) => spelling.order * (a.nodeId < b.nodeId ? -1 : 1)))
  for (const size of [0, 1, 400_000])
    await store.policies.create(policy(`p-${size}`, `rules: []\n#ü😀\t${'x'.repeat(size)}\r\n`))
  for (const source of ['a:b', 'c%', 'ü'])
    await store.pathCache.set(pathKey(source, 'z'), { ...bundle(source, 'z'), pad: 'ä"\\\n'.repeat(30_000) } as never, {
      ttlSeconds: 9,
    })
  await store.close()
  const { list, time } = spelling
  await sqliteProgram(path).execute(
    `INSERT INTO nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at)
     VALUES ('theirs', '${list}', '[ ]', 1, 3, ${time}, 0.1 + 0.2)`,
  )
  return path
}

const python = { list: '["eth0", "\\u00fc", "a/b"]', time: '1700000000', order: 1 } as const
const other = { list: ' [ "eth0" ,\n"ü","a\\/b"]', time: '1.7e9', order: -1 } as const

async function through(
  backend: LastingBackend,
  folder: TemporaryFolder,
): Promise<[first: Buffer, second: Buffer, third: Buffer]> {
  await using middle = await backend.open()
  const [first, second] = [folder.file('1.ndjson'), folder.file('2.ndjson')]
  const one = await exportOf(await filled(folder.file('first.db'), python), first)
  expect(await runCommand(['import', first, '--url', middle.url])).toMatchObject(done)
  const two = await exportOf(middle.url, second)
  expect(await runCommand(['import', second, '--url', folder.file('last.db')])).toMatchObject(done)
  return [one, two, await exportOf(folder.file('last.db'), folder.file('3.ndjson'))]
}

test.each(lastingBackends)('SQLite → NDJSON → $name → NDJSON → SQLite → NDJSON', async (backend) => {
  using folder = temporaryFolder()
  const [first, second, third] = await through(backend, folder)
  expect(first.length).toBeGreaterThan(900_000)
  expect(second.equals(first)).toBe(true)
  expect(third.equals(first)).toBe(true)
})

test('the same rows in another spelling and order make the same file, and one other bit makes another', async () => {
  using folder = temporaryFolder()
  const first = await exportOf(await filled(folder.file('first.db'), python), folder.file('1.ndjson'))
  const path = await filled(folder.file('second.db'), other)
  expect((await exportOf(path, folder.file('2.ndjson'))).equals(first)).toBe(true)
  await sqliteProgram(path).execute("UPDATE nodes SET updated_at = 0.3 WHERE node_id = 'theirs'")
  expect((await exportOf(path, folder.file('3.ndjson'))).equals(first)).toBe(false)
})
