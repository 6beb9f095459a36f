/**
 * docs/operations/runbook.md, acted out: each section's commands, as they stand, against a database in that state. Their output is compared with the page. `UPDATE_RUNBOOK=1` writes it there instead.
 */
import { closeSync, openSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, expect, test } from 'vitest'
import { openStorage, type StorageError } from '../src/index.ts'
import { createDatabase } from './postgres/support/database.ts'
import { temporaryFolder } from './support/folders.ts'
import { bundle, manyNodes, node, pathKey } from './support/samples.ts'
import { small } from './support/small-disk.ts'
import { type Place, type Step, Transcripts, URL_ON_PAGE } from './support/transcripts.ts'

const runbook = new Transcripts(join(import.meta.dirname, '../docs/operations/runbook.md'))
afterAll(() => runbook[Symbol.dispose]())

async function filled({ path, file }: Place): Promise<void> {
  await using store = await openStorage(file)
  await store.nodes.createMany(manyNodes(20))
  for (const day of ['21', '22']) await store.backup(join(path, `backups/mesh-202611${day}T030000000Z.sqlite`))
}

/** Another program's connection, until `close`. */
function connect({ file, stack }: Place): Sqlite.Database {
  const raw = new Sqlite(file)
  stack.defer(() => {
    raw.close()
  })
  return raw
}

let other: Sqlite.Database
let mine: Awaited<ReturnType<typeof openStorage>>
const nothing: Step = () => {}

const STATES: Readonly<Record<string, readonly Step[]>> = {
  'Writes are BUSY': [
    (place) => {
      other = connect(place)
      other.exec('BEGIN IMMEDIATE')
    },
    () => other.exec('ROLLBACK'),
  ],
  'The outcome of a write is unknown': [
    async ({ file }) => {
      mine = await openStorage(file)
      await Promise.all(manyNodes(18).map(({ nodeId }) => mine.nodes.delete(nodeId)))
      for (const end of ['', '-wal']) renameSync(file + end, `${file}.renamed${end}`)
      const late = await mine.nodes.create(node('late')).then(
        () => 'done',
        (error: StorageError) => error.code,
      )
      expect(late).toBe('OUTCOME_UNKNOWN')
    },
    () => mine.close(),
  ],
  'The file is damaged': [
    ({ file }) => {
      const descriptor = openSync(file, 'r+')
      writeSync(descriptor, Buffer.alloc(4_096, 7), 0, 4_096, 0)
      closeSync(descriptor)
    },
    nothing,
  ],
  'The server is away': [
    nothing,
    async (place) => {
      const database = place.stack.use(await createDatabase())
      place.server = database.url
      await using store = await openStorage(database.url)
      await store.nodes.createMany(manyNodes(20))
    },
  ],
  // test/faults/cluster.test.ts kills, freezes and loses the servers of a real cluster. Their commands are Patroni's own.
  'A failover': [],
  'A machine of the cluster is lost': [],
  'A move is stuck': [
    async (place) => {
      const database = place.stack.use(await createDatabase())
      place.server = database.url
      await using store = await openStorage(place.file)
      const stop = new AbortController()
      const moving = store.moveTo(database.url, {
        signal: stop.signal,
        onProgress: ({ step }) => step === 'verifying' && stop.abort(new Error('stopped')),
      })
      await expect(moving).rejects.toThrow('stopped')
    },
    nothing,
  ],
  'A log that grows': [
    (place) => {
      other = connect(place)
      other.exec('BEGIN')
      other.prepare('SELECT * FROM nodes').all()
      const writer = connect(place)
      writer.pragma('synchronous = OFF')
      writer.exec('CREATE TABLE heap (x); BEGIN')
      const insert = writer.prepare('INSERT INTO heap VALUES (zeroblob(1000000))')
      for (let megabyte = 0; megabyte < 70; megabyte++) insert.run()
      writer.exec('COMMIT; DROP TABLE heap')
      writer.close()
    },
    () => other.close(),
  ],
  'A release is rolled back': [
    (place) => {
      const name = 'breaking:0009_split_nodes'
      const insert = 'INSERT INTO meshstore_state (name, value, updated_at) VALUES (?, ?, 0)'
      const raw = connect(place)
      raw.prepare(insert).run(name, 'nodes are in two tables')
      raw.close()
    },
    nothing,
  ],
  'It is slow': [
    async ({ file }) => {
      const past = new Date(Date.now() - 60_000)
      await using store = await openStorage({ url: file, now: () => past, pathCache: { sweepSeconds: 86_400 } })
      for (const { nodeId } of manyNodes(20))
        await store.pathCache.set(pathKey(nodeId, 'b'), bundle(nodeId, 'b'), { ttlSeconds: 1 })
    },
    nothing,
  ],
}
const FULL = 'The disk is full'

test('has a state for each section, and each says what it means, what to do, and how to undo it', () => {
  const titles = runbook.sections.map((section) => section.split('\n')[0] ?? '')
  for (const section of runbook.sections) {
    for (const label of ['Symptom', 'It means', 'Do', 'Undo']) expect(section).toContain(`**${label}**: `)
  }
  expect([...Object.keys(STATES), FULL].toSorted()).toEqual(titles.toSorted())
})

test.each(Object.entries(STATES))('%s', async (title, steps) => {
  const needsServer = runbook.sectionOf(title).includes(URL_ON_PAGE)
  if (needsServer && process.env.DIALECTS === 'sqlite') {
    console.warn(`!! DIALECTS=sqlite: not tested: ${title}`)
    return
  }
  using folder = temporaryFolder()
  await using stack = new AsyncDisposableStack()
  const place = { path: folder.path, file: folder.file('mesh.db'), stack }
  await filled(place)
  await runbook.actOut(title, steps, place)
})

test(FULL, async () => {
  using disk = small()
  if (disk === undefined) return
  await using stack = new AsyncDisposableStack()
  const place = { path: disk.folder.path, file: disk.folder.file('mesh.db'), stack }
  await filled(place)
  // The application, which goes on.
  const store = stack.use(await openStorage(place.file))
  // A reader keeps the log from beginning again: the room that it has would be enough for a small write.
  const reader = connect(place)
  reader.exec('BEGIN')
  reader.prepare('SELECT count(*) FROM nodes').get()
  await store.nodes.create(node('first'))
  const steps = [
    async () => {
      disk.leave(0)
      const full = await store.nodes.saveMany(manyNodes(5_000)).then(
        () => 'done',
        (error: StorageError) => error.code,
      )
      expect(full).toBe('STORAGE_FULL')
      expect(await store.nodes.count()).toBe(21)
    },
    () => reader.close(),
  ]
  await runbook.actOut(FULL, steps, place)
  await store.nodes.save(node('first'))
})
