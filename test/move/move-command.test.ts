/** `meshstore move`, in a process of its own. */
import { spawnSync } from 'node:child_process'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { beginMove } from '../../src/move/live/move-record.ts'
import { configOf } from '../../src/open/config.ts'
import { openSqlite } from '../../src/open/sqlite.ts'
import { documentOf, MAIN, ONE_LINE, runCommand, runProgram } from '../cli/support/command.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { counts, filled, ownHash, type Place, postgres, sqlite } from './support/places.ts'
import { plain } from './support/rows.ts'

const pair = async (): Promise<{ source: Place; target: Place } & AsyncDisposable> => {
  const source = await filled(await sqlite.open(), plain(5))
  const target = await postgres.open()
  return {
    source,
    target,
    [Symbol.asyncDispose]: async () => {
      await source[Symbol.asyncDispose]()
      await target[Symbol.asyncDispose]()
    },
  }
}
const nameOf = (url: string): string => new URL(url).host + new URL(url).pathname
/** In the file: what a move leaves there, or not. */
const tracesIn = (path: string): unknown[] => {
  const raw = new Sqlite(path, { readonly: true })
  try {
    const names = "name IN ('move', 'moved', 'change_log')"
    return [
      ...raw.prepare(`SELECT name FROM meshstore_state WHERE ${names}`).pluck().all(),
      ...raw.prepare('SELECT name FROM meshstore_consumers').pluck().all(),
      ...raw.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%moved%'").pluck().all(),
    ]
  } finally {
    raw.close()
  }
}

test('shows what it would do, does it when told so, and says so', async () => {
  await using places = await pair()
  const { source, target } = places
  const move = (...args: string[]) => runCommand(['move', '--from', source.url, '--to', target.url, ...args])
  const before = await ownHash(source)
  const dry = await move('--dry-run')
  expect(dry).toMatchObject({ code: 0, stderr: '' })
  expect(dry.stdout).toContain('5 nodes, 5 policies, 5 cached paths')
  expect(dry.stdout).toContain(`PostgreSQL at ${nameOf(target.url)}`)
  expect(dry.stdout).toContain('Nothing was changed.')
  const unasked = await move()
  expect(unasked).toMatchObject({ code: 2, stdout: '' })
  expect(unasked.stderr).toContain('give --yes')
  expect(tracesIn(source.url)).toEqual([])
  expect(await move('--resume', '--yes')).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(ONE_LINE),
  })

  const moved = await move('--yes')
  expect(moved.code).toBe(0)
  expect(moved.stdout).toMatch(/^Applied 0000_\w+ to the target\.\n/)
  expect(moved.stdout).toContain('Moved 5 nodes, 5 policies, 5 cached paths')
  expect(await ownHash(target)).toBe(before)
  const status = documentOf(await move('--status', '--json'))
  expect(status).toMatchObject({ state: 'moved', to: nameOf(target.url), phase: 'done' })
  expect(documentOf(await move('--resume', '--yes', '--json'))).toMatchObject({ state: 'moved', id: status.id })
  expect(await move('--abort')).toMatchObject({ code: 4, stdout: '', stderr: expect.stringContaining('MOVED') })
  await expectCode(openStorage(source.url), 'MOVED')
  const checked = documentOf(await runCommand(['check', '--url', source.url, '--json', '--quick']))
  expect(checked.findings).toContainEqual(expect.objectContaining({ check: 'move', severity: 'warning' }))
  await using store = await openStorage(target.url)
  expect(await store.nodes.count()).toBe(5)
}, 60_000)

test('--abort leaves the file as it was, and the target empty', async () => {
  await using places = await pair()
  const { source, target } = places
  const move = (...args: string[]) => runCommand(['move', '--from', source.url, '--to', target.url, ...args])
  const before = await ownHash(source)
  const store = await openStorage(source.url)
  const controller = new AbortController()
  const stopped = store.moveTo(target.url, {
    signal: controller.signal,
    onProgress: ({ step }) => step === 'verifying' && controller.abort(new Error('enough')),
  })
  await expect(stopped).rejects.toThrow('enough')
  await store.close()
  const status = documentOf(await move('--status', '--json'))
  expect(status).toMatchObject({ state: 'under way', phase: 'following', lag: 0 })
  await expectCode(openStorage(target.url), 'CONFIG')
  expect(await move('--yes')).toMatchObject({ code: 2, stderr: expect.stringContaining('--resume') })

  expect(documentOf(await move('--abort', '--json'))).toEqual({
    aborted: status.id,
    to: nameOf(target.url),
    emptied: true,
  })
  expect(tracesIn(source.url)).toEqual([])
  expect(await ownHash(source)).toBe(before)
  expect(await counts(target)).toEqual({ nodes: 0, policies: 0, path_cache: 0 })
  await using again = await openStorage(target.url)
  expect(await again.nodes.count()).toBe(0)
}, 60_000)

test('rows that cannot live there are named, and nothing has begun', async () => {
  await using places = await pair()
  const { source, target } = places
  await source.other.corrupt('nodes', 'n-1', { routes_discovered: 3_000_000_000 })
  for (const how of ['--dry-run', '--yes']) {
    const ran = await runCommand(['move', '--from', source.url, '--to', target.url, how, '--json'])
    expect(ran.code).toBe(4)
    expect(documentOf(ran).error).toMatchObject({
      code: 'CORRUPT',
      issues: [{ path: 'nodes "n-1" routes_discovered', message: expect.any(String) }],
    })
  }
  expect(tracesIn(source.url)).toEqual([])
}, 60_000)

test.each([
  ['no source', ['--to', 'postgres://localhost/x'], 'Which file?'],
  ['no target', ['--from', 'FILE', '--yes'], 'Where to?'],
  ['two ways at once', ['--from', 'FILE', '--status', '--abort'], 'Give one of'],
  ['a file that is not there', ['--from', 'absent.db', '--to', 'postgres://localhost/x'], 'no such SQLite file'],
  ['from PostgreSQL', ['--from', 'postgres://localhost/x', '--to', 'postgres://localhost/y'], 'no such SQLite file'],
  ['to SQLite', ['--from', 'FILE', '--to', 'other.db', '--yes'], 'postgres://'],
])('refused: %s', async (_, args, words) => {
  using folder = temporaryFolder()
  const file = folder.file('mesh.db')
  await (await openStorage(file)).close()
  const ran = await runCommand(['move', ...args.map((each) => (each === 'FILE' ? file : each))], {
    env: { DATABASE_URL: '' },
  })
  expect(ran).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(words) })
})

test('a file is not migrated while it moves, nor is it moved to two places', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await (await openStorage(path)).close()
  const file = await openSqlite(path, configOf(path))
  await beginMove(file, 'one:5432/mesh', new Date())
  await expectCode(beginMove(file, 'two:5432/mesh', new Date()), 'CONFIG')
  await file.close()
  const raw = new Sqlite(path)
  raw.exec('DELETE FROM __drizzle_migrations WHERE created_at = (SELECT max(created_at) FROM __drizzle_migrations)')
  raw.close()
  const refused = await expectCode(openStorage(path), 'BUSY')
  expect(refused.message).toContain('moved')
})

const script = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0
if (!script) console.warn('!! NO script(1) HERE: progress of a move on a terminal is not tested.')

test.runIf(script)(
  'on a terminal it shows how far each step has come, and then what it came to',
  async () => {
    await using places = await pair()
    const { source, target } = places
    const words = [process.execPath, MAIN, 'move', '--from', source.url, '--to', target.url, '--yes']
    const typed = words.map((word) => `'${word}'`).join(' ')
    const { code, stdout } = await runProgram('script', ['-qec', typed, '/dev/null'], { env: { TERM: 'xterm' } })
    expect(code).toBe(0)
    for (const step of ['Checking', 'Copying', 'Comparing'])
      expect(stdout).toMatch(new RegExp(`${step} .*\\d+%.* rows/s .* left`))
    expect(stdout).toContain('Following 0 changes')
    expect(stdout.split('Moved 5 nodes')[1]).not.toContain('\u001b')
  },
  60_000,
)
