/** Pruning a folder of backups: which files go, and which never do. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listBackups, pruneBackups } from '../../src/backup/folder.ts'
import { verifyBackup } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { backupAt, bytesIn, database, manifestOf, namesIn } from './support/files.ts'

const DAYS = [1, 2, 3, 4, 5].map((day) => `2026-01-0${day}T12:00:00.000Z`)

const template = temporaryFolder()
beforeAll(async () => {
  const path = await database(template.file('data', 'mesh.db'))
  for (const [index, time] of DAYS.entries()) await backupAt(path, template.file('backups', `${index + 1}`), time)
})
afterAll(() => template[Symbol.dispose]())

/** A folder with `1` to `5`, made on one day after the other. */
function made(folder: TemporaryFolder): string {
  cpSync(template.path, folder.path, { recursive: true })
  return folder.file('backups')
}

const kept = (names: readonly (number | string)[]): string[] =>
  names.flatMap((name) => [`${name}`, manifestOf(`${name}`)]).sort()

/** Changes one bit and keeps the size: the manifest alone does not show it. */
function damage(file: string): void {
  const bytes = readFileSync(file)
  bytes[5_000] = (bytes[5_000] ?? 0) ^ 1
  writeFileSync(file, bytes)
}

test('what the rules keep stays, with the reasons; the rest goes, each with its manifest', async () => {
  using folder = temporaryFolder()
  const backups = made(folder)
  const report = await pruneBackups(backups, { last: 1, daily: 3 })
  expect(report.kept.map(({ file, reasons }) => [basename(file), reasons])).toEqual([
    ['3', ['daily']],
    ['4', ['daily']],
    ['5', ['last', 'daily', 'newest verified']],
  ])
  expect(report.deleted.map(({ file }) => basename(file))).toEqual(['1', '2'])
  expect(namesIn(backups)).toEqual(kept([3, 4, 5]))
  expect(listBackups(backups).backups.map(({ createdAt }) => createdAt.toISOString())).toEqual(DAYS.slice(2))
})

test('with dryRun the report is the same, and nothing is deleted', async () => {
  using folder = temporaryFolder()
  const backups = made(folder)
  writeFileSync(`${backups}/6.partial-0123456789ab`, 'x')
  utimesSync(`${backups}/6.partial-0123456789ab`, 1, 1)
  const before = bytesIn(backups)
  const planned = await pruneBackups(backups, { last: 2 }, { dryRun: true })
  expect(bytesIn(backups)).toEqual(before)
  expect(await pruneBackups(backups, { last: 2 })).toEqual(planned)
  expect(namesIn(backups)).toEqual(kept([4, 5]))
})

test('the newest that can be verified stays, whatever the rules say', async () => {
  using folder = temporaryFolder()
  const backups = made(folder)
  const future = await backupAt(folder.file('data', 'mesh.db'), `${backups}/future`, '2030-01-01T00:00:00Z')
  damage(future.file)
  damage(`${backups}/5`)
  const report = await pruneBackups(backups, { last: 1 })
  // The damaged are reported, not counted, and not deleted.
  expect(report.broken.map(({ file }) => basename(file)).sort()).toEqual(['5', 'future'])
  expect(report.kept.map(({ file, reasons }) => [basename(file), reasons])).toEqual([
    ['4', ['last', 'newest verified']],
  ])
  expect(namesIn(backups)).toEqual(kept(['4', '5', 'future']))
})

test('where none can be verified, none is deleted', async () => {
  using folder = temporaryFolder()
  const backups = made(folder)
  for (const day of [1, 2, 3, 4, 5]) damage(`${backups}/${day}`)
  const before = bytesIn(backups)
  expect(await pruneBackups(backups, { last: 1 })).toMatchObject({ kept: [], deleted: [], broken: { length: 5 } })
  expect(bytesIn(backups)).toEqual(before)
})

test('what was made just now stays, though a clock that was set back says that it is old', async () => {
  using folder = temporaryFolder()
  const backups = made(folder)
  const { deleted } = await pruneBackups(backups, { last: 2 }, { keepAlso: `${backups}/2` })
  expect(deleted.map(({ file }) => basename(file))).toEqual(['1', '3'])
})

test.each([{}, { last: 0 }, { last: 0, hourly: 0, daily: 0, weekly: 0 }, { last: undefined }])(
  'rules that keep nothing are refused with CONFIG: %o',
  async (keep) => {
    using folder = temporaryFolder()
    const backups = made(folder)
    await expectCode(pruneBackups(backups, keep), 'CONFIG')
    expect(namesIn(backups)).toEqual(kept([1, 2, 3, 4, 5]))
  },
)

test('a folder that is missing, or none, is refused with CONFIG', async () => {
  using folder = temporaryFolder()
  folder.write('file', 'x')
  await expectCode(pruneBackups(folder.file('missing'), { last: 1 }), 'CONFIG')
  await expectCode(pruneBackups(folder.file('file'), { last: 1 }), 'CONFIG')
})

describe('what is not ours stays as it is:', () => {
  test('files of others, manifests alone, and backups without one', async () => {
    using folder = temporaryFolder()
    const backups = made(folder)
    const others = ['notes.txt', 'mesh.db', 'x.partial', 'x.partial-xyz', 'x.partial-0123456789abc', '.hidden']
    for (const name of others) writeFileSync(`${backups}/${name}`, name)
    unlinkSync(`${backups}/1`)
    unlinkSync(manifestOf(`${backups}/2`))
    writeFileSync(manifestOf(`${backups}/mine`), '{"name":"a manifest of another program"}')
    mkdirSync(`${backups}/folder.partial-0123456789ab`)
    utimesSync(`${backups}/folder.partial-0123456789ab`, 1, 1)
    const { broken } = await pruneBackups(backups, { last: 1 })
    expect(broken).toEqual([])
    expect(namesIn(backups)).toEqual(
      [...others, manifestOf('1'), '2', manifestOf('mine'), 'folder.partial-0123456789ab', ...kept([5])].sort(),
    )
  })

  test('but a manifest of ours that has been alone for more than a day', async () => {
    using folder = temporaryFolder()
    const backups = made(folder)
    unlinkSync(`${backups}/1`)
    writeFileSync(manifestOf(`${backups}/mine`), '{"name":"a manifest of another program"}')
    for (const name of ['1', 'mine']) utimesSync(manifestOf(`${backups}/${name}`), 1, 1)
    const { abandoned } = await pruneBackups(backups, { last: 9 })
    expect(abandoned.map((file) => basename(file))).toEqual([manifestOf('1')])
    expect(namesIn(backups)).toEqual([...kept([2, 3, 4, 5]), manifestOf('mine')].sort())
  })

  test('where links lead', async () => {
    using folder = temporaryFolder()
    const backups = made(folder)
    const elsewhere = await backupAt(folder.file('data', 'mesh.db'), folder.file('elsewhere'), '2025-01-01T00:00:00Z')
    symlinkSync(elsewhere.file, `${backups}/linked`)
    symlinkSync(manifestOf(elsewhere.file), manifestOf(`${backups}/linked`))
    symlinkSync(folder.file('nowhere'), manifestOf(`${backups}/dangling`))
    const link = folder.link('link', backups)
    const { broken, deleted } = await pruneBackups(link, { last: 2 })
    expect(broken).toEqual([])
    expect(deleted.map(({ file }) => basename(file))).toEqual(['linked', '1', '2', '3'])
    expect(await verifyBackup(elsewhere.file)).toEqual(elsewhere)
    expect(namesIn(backups)).toEqual([...kept([4, 5]), manifestOf('dangling')].sort())
  })
})

test('unfinished files go a day after they were touched, not before', async () => {
  using folder = temporaryFolder()
  const backups = made(folder)
  const now = Date.now() / 1_000
  const ages = {
    'a.partial-000000000001': 86_400 + 60,
    'b.partial-000000000002-journal': 90_000,
    'c.partial-000000000003': 86_400 - 60,
  }
  for (const [name, age] of Object.entries(ages)) {
    writeFileSync(`${backups}/${name}`, '')
    utimesSync(`${backups}/${name}`, now - age, now - age)
  }
  const { abandoned } = await pruneBackups(backups, { last: 5 })
  expect(abandoned.map((file) => basename(file))).toEqual(['a.partial-000000000001', 'b.partial-000000000002-journal'])
  expect(namesIn(backups)).toEqual([...kept([1, 2, 3, 4, 5]), 'c.partial-000000000003'].sort())
})

test('two at once do not disturb each other', async () => {
  using folder = temporaryFolder()
  const backups = made(folder)
  await Promise.all([1, 2, 3].map(() => pruneBackups(backups, { last: 2 })))
  expect(namesIn(backups)).toEqual(kept([4, 5]))
})
