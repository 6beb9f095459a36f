/** The commands of docs/operations/litestream.md, beside an open store. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { runCommand } from '../cli/support/command.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'
import { byHand, contentOf, objectsIn, restored } from './support/replicas.ts'

const ROOT = join(import.meta.dirname, '../..')
/** On the PATH, or as the benchmark installs it (`node bench/install.ts`). */
const program = ['litestream', join(ROOT, 'bench/node_modules/@flydotio/litestream-linux-x64/litestream')].find(
  (name) => spawnSync(name, ['version']).status === 0,
)
if (program === undefined) process.stderr.write('NOT TESTED: Litestream. Run node bench/install.ts, on Linux x64.\n')

const page = readFileSync(join(ROOT, 'docs/operations/litestream.md'), 'utf8')
const commands = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, text = '']) => text.trim().split('\n'))

/** The arguments of the page's command that begins so, in a folder of the test. */
function argumentsOf(beginning: string, folder: string): string[] {
  const found = commands.map((each) => each.replace(/^npx /, '')).find((each) => each.startsWith(beginning))
  if (found === undefined) throw new Error(`The page has no command ${beginning}.`)
  return found
    .split(' ')
    .slice(1)
    .map((each) => each.replace(/(^|:)\.\//, `$1${folder}/`).replace('/mnt/backup', folder))
}

async function until(condition: () => unknown): Promise<void> {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 20))
}

const filesIn = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : []
const generationsIn = (folder: string): string[] =>
  existsSync(join(folder, 'litestream/generations')) ? readdirSync(join(folder, 'litestream/generations')) : []

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGINT')
  await exited
}

function start(folder: string): ChildProcess {
  const child = spawn(program ?? '', argumentsOf('litestream replicate', folder), { stdio: 'ignore' })
  child.unref()
  return child
}

const restoreIn = (folder: string): Promise<unknown> =>
  promisify(execFile)(program ?? '', argumentsOf('litestream restore', folder))

test.skipIf(program === undefined)('replicates and restores a file that Meshstore writes and replicates', async () => {
  using folder = temporaryFolder()
  const file = folder.file('mesh.db')
  const to = folder.file('replica')
  await using store = await openStorage({ url: file, ...byHand(to) })
  await store.nodes.saveMany(manyNodes(200))
  const child = start(folder.path)
  try {
    await until(() => filesIn(folder.file('litestream')).some((name) => name.endsWith('.snapshot.lz4')))
    for (const each of manyNodes(300, 'later-')) await store.nodes.save(each)
    await store.nodes.delete('n-0001')
    await store.flushReplica()
    const expected = await contentOf(store)
    // The last write arrives within a second or so.
    await until(async () => {
      rmSync(folder.file('restored.db'), { force: true })
      await restoreIn(folder.path).catch(() => {})
      if (!existsSync(folder.file('restored.db'))) return false
      await using found = await openStorage(folder.file('restored.db'))
      return JSON.stringify(await contentOf(found)) === JSON.stringify(expected)
    })
    expect(generationsIn(folder.path)).toHaveLength(1)
    const checked = await runCommand(argumentsOf('meshstore check', folder.path))
    expect(checked.stdout).not.toContain('litestream')
    expect(checked.stdout).toMatch(/Looked at, and found to be well: .*others.*schema/)

    const status = await runCommand(['migrate', 'status', '--url', file])
    expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining('table _litestream_seq, of Litestream') })
    for (const args of [
      ['copy', '--from', file, '--to', folder.file('copied.db')],
      ['export', '--url', file, '-o', folder.file('export.ndjson')],
      ['backup', 'create', '--url', file, '--file', folder.file('backup.sqlite')],
    ]) {
      const done = await runCommand(args)
      expect([args[0], done.code, done.stderr]).toEqual([args[0], 0, ''])
      expect(done.stdout).not.toContain('litestream')
    }
    // Both replicate the same file.
    expect((await restored(to)).content).toEqual(expected)
    expect((await store.health()).replication).toMatchObject({ leftBehind: [], problem: undefined })

    // The file is rolled back to what Litestream has, and written since.
    await store.nodes.save(node('lost'))
    await store.flushReplica()
    await using rolledBack = await openStorage({ url: folder.file('restored.db'), ...byHand(to) })
    await rolledBack.nodes.save(node('since'))
    await rolledBack.flushReplica()
    expect(objectsIn(to)).toContain('g000002/begin')
    expect((await restored(to)).content).toEqual(await contentOf(rolledBack))
  } finally {
    await stop(child)
  }
})

test.skipIf(program === undefined)('begins a new generation after the log was emptied without it', async () => {
  using folder = temporaryFolder()
  const file = folder.file('mesh.db')
  const replicated = async (ids: string): Promise<void> => {
    await using store = await openStorage(file)
    const child = start(folder.path)
    const before = generationsIn(folder.path).length
    await until(() => generationsIn(folder.path).length > before)
    await store.nodes.saveMany(manyNodes(50, ids))
    const expected = await contentOf(store)
    await until(async () => {
      rmSync(folder.file('restored.db'), { force: true })
      await restoreIn(folder.path).catch(() => {})
      if (!existsSync(folder.file('restored.db'))) return false
      await using found = await openStorage(folder.file('restored.db'))
      return JSON.stringify(await contentOf(found)) === JSON.stringify(expected)
    })
    await stop(child)
  }
  await (await openStorage(file)).close()
  await replicated('first-')
  {
    await using store = await openStorage(file)
    await store.nodes.saveMany(manyNodes(50, 'without-'))
  }
  await replicated('second-')
  expect(generationsIn(folder.path)).toHaveLength(2)
})
