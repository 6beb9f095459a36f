/** Options that openStorage() takes, and those that it refuses with CONFIG. */
import { existsSync, linkSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { openStorage, type StorageOptions } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'

describe('a URL that names a SQLite file', () => {
  test.each<[string, (path: string) => string]>([
    ['a path', (path) => path],
    ['sqlite:', (path) => `sqlite:${path}`],
    ['sqlite: in capitals', (path) => `SQLite:${path}`],
    ['sqlite://', (path) => `sqlite://${path}`],
    ['file:', (path) => `file:${path}`],
    ['file://', (path) => pathToFileURL(path).href],
    ['a folder that is not there yet', (path) => path.replace('a b.db', 'new/folder/a b.db')],
    ['a path with .. in it', (path) => path.replace('a b.db', 'x/../a b.db')],
  ])('%s', async (_, urlOf) => {
    using folder = temporaryFolder()
    const url = urlOf(folder.file('a b.db'))
    for (const target of [url, { url }]) {
      await using store = await openStorage(target)
      expect(store.dialect).toBe('sqlite')
      await store.nodes.save(node('a'))
    }
    await using store = await openStorage({ url, readOnly: true })
    expect(await store.nodes.count()).toBe(1)
    const files = readdirSync(folder.path, { recursive: true }).map(String)
    expect(files.filter((name) => name.endsWith('a b.db'))).toHaveLength(1)
  })

  test.each(['ä \u{1f600}.db', '100%.db', "it's.db", '#1.db', '-rf.db', 'a:b.db'])('named %s', async (name) => {
    using folder = temporaryFolder()
    const path = folder.file(name)
    await openStorage(path).then((store) => store.close())
    expect(readdirSync(folder.path)).toEqual([name])
    await openStorage({ url: pathToFileURL(path).href, migrate: 'check' }).then((store) => store.close())
    expect(readdirSync(folder.path)).toEqual([name])
  })
})

test('every option may be given, or be undefined', async () => {
  const options: StorageOptions = {
    url: 'sqlite::memory:',
    migrate: 'apply',
    durability: 'normal',
    readOnly: false,
    now: () => new Date(),
    busyTimeoutMs: 0,
    maxPendingWrites: 1,
    walLimitBytes: 1_048_576,
    walLimitSeconds: 60,
    pool: { max: 1, mode: 'session' },
    pathCache: { ttlSeconds: 5 },
    countRules: () => 0,
  }
  await openStorage(options).then((store) => store.close())
  const absent = Object.fromEntries(Object.keys(options).map((name) => [name, undefined]))
  await openStorage({ ...absent, url: options.url, pathCache: { ttlSeconds: undefined } }).then((store) =>
    store.close(),
  )
})

const MEMORY = { url: 'sqlite::memory:' }

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['a number', 7],
  ['no url', {}],
  ['an empty text', ''],
  ['an empty url', { url: '' }],
  ['a url that is no text', { url: new URL('file:///mesh.db') }],
  ['sqlite: alone', 'sqlite:'],
  ['file: alone', 'file:'],
  ['an unknown scheme', 'mysql://localhost/mesh'],
  ['another one', 'libsql:mesh.db'],
  ['a web address', 'https://example.org/mesh.db'],
  ['a host', 'sqlite://host/mesh.db'],
  ['a host in a file URL', 'file://host/mesh.db'],
  ['a file URL that is none', 'file:///a%2Fb.db'],
  ['an unknown option', { ...MEMORY, ttlSeconds: 5 }],
  ['an unknown option named like a method', { ...MEMORY, constructor: 1 }],
  ['an unknown option of the path cache', { ...MEMORY, pathCache: { ttl: 5 } }],
  ['a path cache that is no object', { ...MEMORY, pathCache: 30 }],
  ['a time to live of 0', { ...MEMORY, pathCache: { ttlSeconds: 0 } }],
  ['an unknown option of the pool', { ...MEMORY, pool: { size: 5 } }],
  ['a pool of none', { ...MEMORY, pool: { max: 0 } }],
  ['a mode of the pool that is none', { ...MEMORY, pool: { mode: 'statement' } }],
  ['a migrate that is none', { ...MEMORY, migrate: 'yes' }],
  ['a durability that is none', { ...MEMORY, durability: 'off' }],
  ['readOnly as a text', { ...MEMORY, readOnly: 'true' }],
  ['a clock that is a time', { ...MEMORY, now: new Date() }],
  ['a negative timeout', { ...MEMORY, busyTimeoutMs: -1 }],
  ['a timeout without an end', { ...MEMORY, busyTimeoutMs: Number.POSITIVE_INFINITY }],
  ['no pending write', { ...MEMORY, maxPendingWrites: 0 }],
  ['no log', { ...MEMORY, walLimitBytes: 0 }],
  ['no age of a snapshot', { ...MEMORY, walLimitSeconds: 0 }],
  ['countRules that is a number', { ...MEMORY, countRules: 3 }],
])('%s is refused', async (_, target) => {
  const error = await expectCode(openStorage(target as StorageOptions), 'CONFIG')
  expect(error.retryable).toBe(false)
})

test.each<[string, (path: string) => string]>([
  ['NUL', (path) => `${path}/a\0b.db`],
  ['NUL in a file URL', (path) => `${pathToFileURL(path).href}/a%00b.db`],
  ['a blank at the end', (path) => `${path}/a.db `],
  ['a line end', (path) => `sqlite:${path}/a.db\n`],
  ['a blank at the beginning', (path) => ` ${path}/a.db`],
  ['the same behind the scheme', (path) => `sqlite: ${path}/a.db`],
  ['half of a surrogate pair', (path) => `${path}/a\ud800.db`],
  ['parameters', (path) => `file:${path}/a.db?mode=memory`],
  ['parameters of a URL', (path) => `${pathToFileURL(path).href}/a.db?mode=ro`],
  ['a fragment', (path) => `${pathToFileURL(path).href}/a.db#x`],
])('a path with %s is refused, and nothing is created', async (_, urlOf) => {
  using folder = temporaryFolder()
  await expectCode(openStorage(urlOf(folder.path)), 'CONFIG')
  expect(readdirSync(folder.path)).toEqual([])
})

test.each(['~', '~/mesh.db', 'sqlite:~/mesh.db', 'file:~/mesh.db'])(
  '%s is refused: it would be a folder of that name',
  async (url) => {
    expect((await expectCode(openStorage(url), 'CONFIG')).message).toContain('begins with ~')
    expect(existsSync('~')).toBe(false)
  },
)

/** Prepares a folder and returns a path in it that cannot be used. */
const UNUSABLE: Readonly<Record<string, (folder: TemporaryFolder) => string>> = {
  'a folder': (folder) => folder.path,
  'a folder, with a slash': (folder) => `${folder.path}/`,
  'a file with two names': (folder) => {
    linkSync(folder.write('a', ''), folder.file('b'))
    return folder.file('b')
  },
  'a link to nowhere': (folder) => folder.link('link', 'missing'),
  'a link to itself': (folder) => folder.link('link', 'link'),
  'a file in a file': (folder) => join(folder.write('file', ''), 'mesh.db'),
  'a device': () => '/dev/null',
  'a name that is too long': (folder) => folder.file(`${'x'.repeat(300)}.db`),
}

test.each(Object.entries(UNUSABLE))('%s is refused, and left as it is', async (_, prepare) => {
  using folder = temporaryFolder()
  const path = prepare(folder)
  const before = readdirSync(folder.path, { recursive: true })
  await expectCode(openStorage(path), 'CONFIG')
  expect(readdirSync(folder.path, { recursive: true })).toEqual(before)
})

test.each(['mesh.db', 'folder/mesh.db'])('a read-only store needs a database: %s is not created', async (name) => {
  using folder = temporaryFolder()
  await expectCode(openStorage({ url: folder.file(name), readOnly: true }), 'CONFIG')
  expect(readdirSync(folder.path)).toEqual([])
})

test.each([
  'mysql://user:canary-7f3a@localhost/mesh',
  'pg://user:canary-7f3a@localhost/mesh',
  'sqlite://user:canary-7f3a@localhost/mesh.db',
  'file://user:canary-7f3a@localhost/mesh.db',
  'file://user:canary-7f3a@[::/mesh.db',
  'file:///a%2Fb.db?password=canary-7f3a',
  'sqlite:/mesh.db?password=canary-7f3a',
  { url: 'sqlite::memory:', password: 'canary-7f3a' },
  { url: { password: 'canary-7f3a' } },
  { url: 'sqlite::memory:', migrate: 'canary-7f3a' },
])('a password appears in no error: %j', async (target) => {
  const error = await expectCode(openStorage(target as StorageOptions), 'CONFIG')
  const shown =
    inspect(error, { depth: 20, showHidden: true }) + JSON.stringify([error.message, error.cause, error.issues])
  expect(shown).not.toContain('canary-7f3a')
})
