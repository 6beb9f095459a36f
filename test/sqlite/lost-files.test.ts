/** A database that is deleted, renamed or replaced under an open store: nothing that was acknowledged is lost. */
import { execFile } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'

/** The ids in a file, which is sound. */
function idsIn(path: string): string[] {
  const raw = new Sqlite(path, { fileMustExist: true })
  expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
  const ids = raw.prepare<[], string>('SELECT node_id FROM nodes ORDER BY node_id').pluck().all()
  raw.close()
  return ids
}

/** How the files may go away. */
const LOSSES: Readonly<Record<string, (path: string) => void>> = {
  'the log is deleted': (path) => rmSync(`${path}-wal`),
  'all is deleted': (path) => {
    for (const end of ['', '-wal', '-shm']) rmSync(path + end)
  },
  'the log is replaced': (path) => {
    renameSync(`${path}-wal`, `${path}-kept`)
    copyFileSync(`${path}-kept`, `${path}-wal`)
  },
  'the folder is replaced': (path) => {
    const folder = dirname(path)
    renameSync(folder, `${folder}-old`)
    mkdirSync(folder)
    for (const end of ['', '-wal', '-shm']) copyFileSync(`${folder}-old/${basename(path)}${end}`, path + end)
  },
}

/** How the database alone may: it is looked at every 100 ms. */
const LATER: Readonly<Record<string, (path: string) => void>> = {
  'the database is deleted': (path) => rmSync(path),
  'the database is renamed': (path) => renameSync(path, `${path}-old`),
  'the database is replaced': (path) => {
    copyFileSync(path, `${path}-other`)
    renameSync(`${path}-other`, path)
  },
  // The locks are in it: others that open the file then write over the log.
  'the shared memory of the log is deleted': (path) => rmSync(`${path}-shm`),
}

const WRITES = {
  create: (store, id) => store.nodes.create(node(id)),
  'createMany of a few': (store, id) => store.nodes.createMany([node(id), node(`${id}-2`)]),
  'createMany of many': (store, id) => store.nodes.createMany([node(id), ...manyNodes(600, id)]),
  transaction: (store, id) => store.transaction((tx) => tx.nodes.create(node(id))),
} satisfies Record<string, (store: Awaited<ReturnType<typeof openStorage>>, id: string) => Promise<unknown>>

const cases = Object.entries(LOSSES).flatMap(([loss, lose]) =>
  Object.entries(WRITES).map(([kind, write]) => [loss, kind, lose, write] as const),
)

test.each(cases)('%s: %s is not acknowledged, nor is anything after it', async (_, __, lose, write) => {
  using folder = temporaryFolder()
  const path = folder.file('data', 'mesh.db')
  await using store = await openStorage(path)
  await store.nodes.createMany(manyNodes(10))
  lose(path)
  const { message } = await expectCode(write(store, 'lost'), 'OUTCOME_UNKNOWN')
  const saved = `${path}.saved-1`
  expect(message).toContain(saved)
  expect(statSync(saved).mode & 0o777).toBe(0o600)
  expect(idsIn(saved)).toEqual(expect.arrayContaining(manyNodes(10).map(({ nodeId }) => nodeId)))
  for (const later of Object.values(WRITES))
    expect((await expectCode(later(store, 'later'), 'READ_ONLY')).message).toContain(saved)
  await expectCode(store.backup(folder.file('backups')), 'READ_ONLY')
  expect(await store.health()).toMatchObject({ canWrite: false, problems: [{ code: 'READ_ONLY' }] })
  expect(readdirSync(dirname(path)).filter((name) => name.includes('.saved-'))).toEqual(['mesh.db.saved-1'])
})

test('in a folder that was quiet for seconds, where a commit looks at the folder alone', async () => {
  using folder = temporaryFolder()
  const places = Object.entries(LOSSES).map(([name, lose]) => ({ path: folder.file(name, 'mesh.db'), lose }))
  const stores = await Promise.all(places.map(({ path }) => openStorage(path)))
  for (const store of stores) await store.nodes.createMany(manyNodes(10))
  const isQuiet = (path: string): boolean => Date.now() - statSync(dirname(path)).ctimeMs > 2_100
  await eventually('the folders are quiet', () => places.every(({ path }) => isQuiet(path)))
  for (const [at, { path, lose }] of places.entries()) {
    const { nodes } = stores[at] as (typeof stores)[number]
    for (const id of ['a', 'b', 'c']) await nodes.create(node(id))
    expect(isQuiet(path)).toBe(true)
    lose(path)
    await expectCode(nodes.create(node('lost')), 'OUTCOME_UNKNOWN')
    expect(idsIn(`${path}.saved-1`)).toEqual(expect.arrayContaining(['a', 'b', 'c', 'n-0000']))
    await expectCode(nodes.create(node('later')), 'READ_ONLY')
  }
  for (const store of stores) await store.close()
})

test.each(Object.entries(LATER))('%s: it is noticed without a write', async (_, lose) => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const store = await openStorage(path)
  await store.nodes.createMany(manyNodes(10))
  lose(path)
  const before = existsSync(path) ? readFileSync(path) : undefined
  await eventually('it is saved', () => existsSync(`${path}.saved-1`))
  await expectCode(store.nodes.create(node('later')), 'READ_ONLY')
  expect(idsIn(`${path}.saved-1`)).toHaveLength(10)
  await store.close()
  // The file there now is not ours: nothing goes into it.
  expect(existsSync(path) ? readFileSync(path) : undefined).toEqual(before)
})

test('closing looks once more', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const store = await openStorage(path)
  await store.nodes.createMany(manyNodes(10))
  rmSync(path)
  await store.close()
  expect(idsIn(`${path}.saved-1`)).toHaveLength(10)
})

test('a second SQLite in the process: all that was acknowledged is there after SIGKILL', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const program = `${import.meta.dirname}/programs/second-sqlite.ts`
  const said = await new Promise<string>((resolve) => {
    execFile(process.execPath, ['--no-warnings', program, path], (_, stdout, stderr) => resolve(stdout || stderr))
  })
  const { acknowledged, codes, canWrite, problems } = JSON.parse(said)
  expect(codes.length).toBeGreaterThan(0)
  expect({ canWrite, problems }).toMatchObject({ canWrite: false, problems: [{ code: 'READ_ONLY' }] })
  const found = new Set([...idsIn(path), ...idsIn(`${path}.saved-1`)])
  expect(acknowledged.filter((id: string) => !found.has(id))).toEqual([])
})

test('what others may do with the file raises no alarm', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await using store = await openStorage(path)
  await using beside = await openStorage({ url: path, durability: 'normal' })
  const other = new Sqlite(path)
  for (const mode of ['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE']) {
    await store.nodes.createMany(manyNodes(50, mode))
    other.pragma(`wal_checkpoint(${mode})`)
    await beside.nodes.create(node(`beside-${mode}`))
  }
  other.exec('VACUUM')
  other.close()
  await store.nodes.create(node('last'))
  expect((await store.health()).problems).toEqual([])
  expect((await beside.health()).problems).toEqual([])
  expect(readdirSync(folder.path).filter((name) => name.includes('.saved-'))).toEqual([])
})

test('a store holds one handle of its own on the log, and closes it', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const handles = (): number => {
    const links = readdirSync('/proc/self/fd').map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`)
      } catch {
        return ''
      }
    })
    return links.filter((link) => link.startsWith(`${realpathSync(folder.path)}/mesh.db-wal`)).length
  }
  if (process.platform !== 'linux') return console.log('NOT TESTED: /proc is Linux’s.')
  const store = await openStorage(path)
  await store.nodes.create(node('a'))
  const after = handles()
  await store.nodes.create(node('b'))
  expect(handles()).toBe(after)
  const raw = new Sqlite(path)
  raw.pragma('user_version')
  const beside = handles() - after
  raw.close()
  // The writer's, the reader's and the store's.
  expect(after).toBe(2 * beside + 1)
  await store.close()
  expect(handles()).toBe(0)
})
