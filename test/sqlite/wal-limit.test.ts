/** The write-ahead log cannot be emptied while a snapshot needs it: who reads is named, and own snapshots are ended. */
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Meshstore, openStorage, type StorageOptions } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { gate } from '../support/gate.ts'
import { manyNodes, node } from '../support/samples.ts'
import { Program } from './support/program.ts'

/** More than SQLite lets the log grow to when nobody reads. */
const LIMIT = 6_000_000
const namesProcesses = existsSync('/proc/locks')

let folder: TemporaryFolder
let path: string
beforeEach(() => {
  folder = temporaryFolder()
  path = folder.file('mesh.db')
})
afterEach(() => folder[Symbol.dispose]())

const opened = (options: Partial<StorageOptions> = {}): Promise<Meshstore> =>
  openStorage({ url: path, walLimitBytes: LIMIT, ...options })

const READER = `
const raw = new (require('better-sqlite3'))(process.argv[1], { readonly: true })
raw.exec('BEGIN')
raw.prepare('SELECT count(*) FROM nodes').get()
console.log('reads')
process.stdin.on('data', () => { raw.exec('COMMIT'); raw.close(); process.exit() })`

/** Another process that reads an old state, until it gets a line. */
async function reader(): Promise<Program> {
  const program = new Program(process.execPath, ['-e', READER, path])
  expect(await program.line()).toBe('reads')
  return program
}

let written = 0
/** Another connection writes pages that no table of ours has, and the store a row. */
async function writeUntil(store: Meshstore, isEnough: (walBytes: number) => boolean): Promise<void> {
  using raw = openRaw()
  do {
    raw.write()
    await store.nodes.save(node('w', { interfaces: [`eth${written++}`] }))
  } while (!isEnough((await store.stats()).walBytes))
}

function openRaw(): Disposable & { write: () => void } {
  const raw = new Sqlite(path)
  raw.exec('CREATE TABLE IF NOT EXISTS filler (id PRIMARY KEY, bytes)')
  const statement = raw.prepare('REPLACE INTO filler VALUES (1, randomblob(500000))')
  return { write: () => statement.run(), [Symbol.dispose]: () => raw.close() }
}

const fill = (store: Meshstore): Promise<void> => writeUntil(store, (walBytes) => walBytes > LIMIT)
const problemOf = async (store: Meshstore): Promise<string> =>
  (await store.health()).problems.map(({ code, message }) => `${code} ${message}`).join('\n')

test('health() names the process that reads an old state, and empties the log when it is gone', async () => {
  await using store = await opened()
  await store.nodes.create(node('a'))
  await using other = await reader()
  expect(await problemOf(store)).toBe('')
  await fill(store)
  const problem = await problemOf(store)
  expect(problem).toMatch(/^BUSY The write-ahead log is too large/)
  if (namesProcesses) expect(problem).toContain(`by: process ${other.pid} (`)
  else console.warn('NOT TESTED: this system has no /proc/locks, so that no process is named.')
  other.send('end')
  await other.ended
  expect(await problemOf(store)).toBe('')
  expect((await store.stats()).walBytes).toBeLessThan(LIMIT)
})

test('health() names the snapshots of the store itself', async () => {
  await using store = await opened()
  const [reads, done] = [gate(), gate()]
  const reading = store.transaction(
    async (tx) => {
      await tx.nodes.count()
      reads.open()
      await done.opened
    },
    { readOnly: true, timeoutMs: 60_000 },
  )
  await reads.opened
  await fill(store)
  expect(await problemOf(store)).toMatch(/by: a read-only transaction \(\d+ s\)\. Nothing is lost/)
  done.open()
  await reading
  expect(await problemOf(store)).toBe('')
})

test('names another store of the same process', async () => {
  await using store = await opened()
  await using other = await opened()
  const [reads, done] = [gate(), gate()]
  const reading = other.transaction(
    async (tx) => {
      await tx.nodes.count()
      reads.open()
      await done.opened
    },
    { readOnly: true, timeoutMs: 60_000 },
  )
  await reads.opened
  await fill(store)
  if (namesProcesses) expect(await problemOf(store)).toContain('by: another store of this process.')
  done.open()
  await reading
})

test('ends an old read-only transaction while the log is too large, and only then', async () => {
  await using store = await opened({ walLimitSeconds: 0.01 })
  const [reads, never] = [gate(), gate()]
  let later: Promise<unknown> = Promise.resolve()
  const reading = store.transaction(
    async (tx) => {
      await tx.nodes.count()
      // Long enough for several looks at the log, which is small.
      for (let look = 0; look < 5; look++) await sleep(10).then(() => tx.nodes.count())
      reads.open()
      await never.opened
      later = tx.nodes.count()
      await later
    },
    { readOnly: true, timeoutMs: 60_000 },
  )
  const ended = expectCode(reading, 'TIMEOUT')
  await reads.opened
  await fill(store)
  expect((await ended).message).toMatch(
    /^A read-only transaction was ended after \d+ s, .* walLimitBytes allows 6 MiB\. Nothing of it was kept/,
  )
  never.open()
  await writeUntil(store, (walBytes) => walBytes <= LIMIT)
  expect(await problemOf(store)).toBe('')
  await expectCode(later, 'TIMEOUT')
})

test('ends an old backup while the log is too large, and leaves nothing of it', async () => {
  const quiet = await opened()
  await quiet.nodes.createMany(manyNodes(1_000))
  await quiet.close()
  await using store = await opened({ walLimitSeconds: 0.01 })
  await using other = await reader()
  await fill(store)
  const { message } = await expectCode(store.backup(folder.file('backup.db')), 'TIMEOUT')
  expect(message).toMatch(/^A backup was ended after \d+ s/)
  expect(existsSync(folder.file('backup.db'))).toBe(false)
  other.send('end')
  await other.ended
  expect(await problemOf(store)).toBe('')
  await store.backup(folder.file('backup.db'))
})

test('snapshots that overlap all the time do not keep the log', async () => {
  await using store = await opened()
  let isDone = false
  const read = async (): Promise<void> => {
    while (!isDone) {
      await store.transaction(
        async (tx) => {
          for (let turn = 0; turn < 5; turn++) await sleep(5).then(() => tx.nodes.count())
        },
        { readOnly: true },
      )
    }
  }
  const reading = [read(), sleep(10).then(read), sleep(20).then(read)]
  await fill(store)
  await writeUntil(store, (walBytes) => walBytes <= LIMIT)
  isDone = true
  await Promise.all(reading)
})
