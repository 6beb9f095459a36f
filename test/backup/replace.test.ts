/** A restore over what is there: it is kept as a copy, or, where SQLite cannot read it, as it is. */
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { openStorage, type RestoreReport, restoreBackup } from '../../src/index.ts'
import { previewRestore } from '../../src/restore/restore.ts'
import { mode } from '../sqlite/support/filled.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { backupOf, bytesIn, contentOf, database, idsOf, namesIn, SAFETY_COPY } from './support/files.ts'

const NEWS = ['mesh.db', expect.stringMatching(SAFETY_COPY), expect.stringMatching(/Z\.manifest\.json$/)]

/** A backup of 50 nodes `new-…`, and a folder for a database. */
async function prepared(folder: TemporaryFolder): Promise<{ file: string; path: string }> {
  const { file } = await backupOf(folder, 'new')
  mkdirSync(folder.file('data'))
  return { file, path: folder.file('data', 'mesh.db') }
}

async function expectRestored(path: string): Promise<void> {
  await using store = await openStorage({ url: path, migrate: 'check' })
  const ids = await idsOf(store)
  expect(ids).toHaveLength(50)
  expect(ids.every((id) => id.startsWith('new-'))).toBe(true)
  await store.nodes.create(node('goes on'))
}

test('without replace it is refused with CONFIG, and nothing is changed', async () => {
  using folder = temporaryFolder()
  const { file, path } = await prepared(folder)
  await database(path)
  const before = bytesIn(folder.file('data'))
  for (const options of [{}, { replace: false }, { migrate: false }])
    await expectCode(restoreBackup(file, path, options), 'CONFIG')
  expect(bytesIn(folder.file('data'))).toEqual(before)
})

test('with replace, the old content is in the copy, which opens', async () => {
  using folder = temporaryFolder()
  const { file, path } = await prepared(folder)
  await database(path, 700, 'old')
  const old = contentOf(path)
  const report = await restoreBackup(file, path, { replace: true })
  expect(report).toMatchObject({ restoredTo: path, safetyCopy: expect.stringMatching(/before-restore-/), migrated: [] })
  expect(namesIn(folder.file('data'))).toEqual(NEWS)
  const { safetyCopy = '' } = report
  expect(mode(safetyCopy)).toBe('600')
  expect(contentOf(safetyCopy)).toBe(old)
  await expectRestored(path)
  // And back again.
  await restoreBackup(safetyCopy, path, { replace: true })
  expect(contentOf(path)).toBe(old)
})

test('what the old one had committed into its log alone is in the copy too', async () => {
  using folder = temporaryFolder()
  const { file, path } = await prepared(folder)
  await database(path, 10, 'old')
  // A process that was killed leaves its log.
  const raw = new Sqlite(path)
  raw.pragma('wal_autocheckpoint = 0')
  raw.exec(
    "INSERT INTO nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at) VALUES ('in the log', '[]', '[]', 0, 0, 1.5, 1.5)",
  )
  const parts = ['', '-wal'].map((end) => readFileSync(path + end))
  raw.close()
  for (const [index, end] of ['', '-wal'].entries()) writeFileSync(path + end, parts[index] ?? '')
  const { safetyCopy = '' } = await restoreBackup(file, path, { replace: true })
  const copy = new Sqlite(safetyCopy)
  expect(copy.prepare("SELECT count(*) FROM nodes WHERE node_id = 'in the log'").pluck().get()).toBe(1)
  copy.close()
  await expectRestored(path)
})

test('an empty file is taken without replace, and there is nothing to copy', async () => {
  using folder = temporaryFolder()
  const { file, path } = await prepared(folder)
  writeFileSync(path, '')
  expect(await restoreBackup(file, path)).not.toHaveProperty('safetyCopy')
  expect(namesIn(folder.file('data'))).toEqual(['mesh.db'])
  await expectRestored(path)
})

test.each([512, 1024, 8192, 65_536])('a database with pages of %i bytes is replaced', async (size) => {
  using folder = temporaryFolder()
  const { file, path } = await prepared(folder)
  const raw = new Sqlite(path)
  raw.pragma(`page_size = ${size}`)
  raw.exec('CREATE TABLE theirs (a); INSERT INTO theirs VALUES (zeroblob(300000))')
  raw.close()
  const { safetyCopy = '' } = await restoreBackup(file, path, { replace: true })
  await expectRestored(path)
  const copy = new Sqlite(safetyCopy)
  expect(copy.prepare('SELECT length(a) FROM theirs').pluck().get()).toBe(300_000)
  copy.close()
})

describe('what SQLite cannot read is moved aside as it is:', () => {
  const spoilt: Record<string, (path: string) => void> = {
    'a text': (path) => writeFileSync(path, 'no database '.repeat(1_000)),
    'a database that was cut off': (path) => truncateSync(path, statSync(path).size - 8_192),
    'one with a page of zeros': (path) => {
      const bytes = readFileSync(path)
      for (let page = 1; page < bytes.length / 4096; page += 3) bytes.fill(0, page * 4096, page * 4096 + 4096)
      writeFileSync(path, bytes)
    },
  }
  test.each(Object.entries(spoilt))('%s', async (_, spoil) => {
    using folder = temporaryFolder()
    const { file, path } = await prepared(folder)
    await database(path, 3_000, 'old')
    spoil(path)
    const damaged = readFileSync(path)
    expect(await previewRestore(file, path)).toMatchObject({ replaces: true })
    expect(readFileSync(path)).toEqual(damaged)
    const report: RestoreReport = await restoreBackup(file, path, { replace: true })
    // But for the header, which may say that there is no log any more.
    const kept = readFileSync(report.safetyCopy ?? '')
    expect(kept.length).toBe(damaged.length)
    expect(kept.subarray(100).equals(damaged.subarray(100))).toBe(true)
    expect(namesIn(folder.file('data')).filter((name) => /^mesh\.db(-wal|-shm|-journal)?$/.test(name))).toEqual([
      'mesh.db',
    ])
    await expectRestored(path)
  })
})

describe('when it is given up, the old database is as it was, and nothing is left:', () => {
  test.each([0, 1, 2, 3])('aborted at step %i', async (step) => {
    using folder = temporaryFolder()
    const { file } = await backupOf(folder, 'new', 6_000)
    const path = await database(folder.file('data', 'mesh.db'), 3_000, 'old')
    const old = contentOf(path)
    const controller = new AbortController()
    const reason = new Error('enough')
    let steps = 0
    if (step === 0) controller.abort(reason)
    const onProgress = (): void => {
      if (++steps === step) controller.abort(reason)
    }
    const restore = restoreBackup(file, path, { replace: true, signal: controller.signal, onProgress })
    await expect(restore).rejects.toBe(reason)
    expect(steps).toBe(step)
    expect(namesIn(folder.file('data'))).toEqual(['mesh.db'])
    expect(contentOf(path)).toBe(old)
  })

  test('aborted when a damaged file had been moved aside', async () => {
    using folder = temporaryFolder()
    const { file, path } = await prepared(folder)
    writeFileSync(path, 'damaged')
    const onProgress = (): never => {
      throw new Error('no')
    }
    await expect(restoreBackup(file, path, { replace: true, onProgress })).rejects.toThrow('no')
    expect(bytesIn(folder.file('data'))).toEqual({ 'mesh.db': Buffer.from('damaged').toString('base64') })
  })
})

test('through a link it is the file that is replaced, and the link stays', async () => {
  using folder = temporaryFolder()
  const { file, path } = await prepared(folder)
  await database(path, 10, 'old')
  const link = folder.link('link.db', path)
  expect(await restoreBackup(file, link, { replace: true })).toMatchObject({ restoredTo: path })
  expect(namesIn(folder.file('data'))).toEqual(NEWS)
  writeFileSync(path, 'damaged')
  await restoreBackup(file, link, { replace: true })
  await expectRestored(link)
  expect(existsSync(path)).toBe(true)
})

test('a backup is not restored over itself, through a link either', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'new')
  const before = bytesIn(folder.path)
  symlinkSync(file, folder.file('link.db'))
  for (const target of [file, folder.file('link.db'), `sqlite:${file}`, `file://${file}`])
    await expectCode(restoreBackup(file, target, { replace: true }), 'CONFIG')
  await expectCode(restoreBackup(folder.file('link.db'), file, { replace: true }), 'CONFIG')
  expect(bytesIn(folder.path)).toMatchObject(before)
})
