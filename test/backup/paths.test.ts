/** Names, links, and working folders that change. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { backupOf, database, idsOf, manifestOf, namesIn } from './support/files.ts'

const start = process.cwd()
afterEach(() => process.chdir(start))

describe('a backup with the name', () => {
  const odd = [
    "it's",
    'a b',
    'ä😀',
    'x%41#y&z',
    '-v',
    'a "quoted" b',
    'a\nb',
    'file:mesh',
    'sqlite:mesh',
    ':memory:',
    'C:mesh',
    '.',
  ]
  test.each(odd.filter((name) => name !== '.'))('%j is made, verified and restored', async (name) => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    await store.nodes.create(node('a'))
    mkdirSync(folder.file('there'))
    process.chdir(folder.file('there'))
    const manifest = await store.backup(name)
    expect(manifest.file).toBe(folder.file('there', name))
    expect(namesIn('.')).toEqual([name, manifestOf(name)].sort())
    expect(await verifyBackup(name)).toEqual(manifest)
    expect(await restoreBackup(name, folder.file('restored.db'))).toMatchObject({
      restoredTo: folder.file('restored.db'),
    })
  })

  test.each(['', ' a', 'a ', 'a\0b', 'a?mode=ro', '\ud800'])('%j is refused with CONFIG', async (name) => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    process.chdir(folder.path)
    const before = namesIn('.')
    await expectCode(store.backup(name), 'CONFIG')
    await expectCode(verifyBackup(name), 'CONFIG')
    await expectCode(restoreBackup(name, 'restored.db'), 'CONFIG')
    expect(namesIn('.')).toEqual(before)
  })

  test.each([200, 233, 240, 255, 300])(
    'of %i letters is made, or refused with CONFIG and nothing is left',
    async (length) => {
      using folder = temporaryFolder()
      await using store = await openStorage(folder.file('mesh.db'))
      const target = folder.file('backups', 'x'.repeat(length))
      if (length === 200) expect(await verifyBackup((await store.backup(target)).file)).toMatchObject({ file: target })
      else {
        await expectCode(store.backup(target), 'CONFIG')
        expect(namesIn(folder.file('backups'))).toEqual([])
      }
    },
  )
})

describe('when the working folder changes meanwhile,', () => {
  /** Runs it in one folder, and goes to another as soon as it has been called. */
  async function moving<T>(folder: TemporaryFolder, run: () => Promise<T>): Promise<T> {
    for (const name of ['here', 'there']) mkdirSync(folder.file(name), { recursive: true })
    process.chdir(folder.file('here'))
    const running = run()
    process.chdir(folder.file('there'))
    return await running
  }

  test('a backup and its manifest are where it was called', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    for (const name of ['here', 'there']) mkdirSync(folder.file(name))
    process.chdir(folder.file('here'))
    const { file } = await store.backup('mesh.backup', { onProgress: () => process.chdir(folder.file('there')) })
    expect(file).toBe(folder.file('here', 'mesh.backup'))
    expect(namesIn(folder.file('here'))).toEqual(['mesh.backup', 'mesh.backup.manifest.json'])
    expect(namesIn(folder.file('there'))).toEqual([])
    expect(await moving(folder, () => verifyBackup('mesh.backup'))).toMatchObject({ file })
  })

  test('a backup is where it was called, even if nothing of it has begun', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    expect(await moving(folder, () => store.backup('mesh.backup'))).toMatchObject({
      file: folder.file('here', 'mesh.backup'),
    })
    expect(namesIn(folder.file('there'))).toEqual([])
  })

  test('a restore is of the file, and to the path, where it was called', async () => {
    using folder = temporaryFolder()
    mkdirSync(folder.file('here'))
    await backupOf(folder, join('here', 'mesh.backup'))
    await database(folder.file('here', 'mesh.db'), 10, 'old')
    for (const url of ['mesh.db', 'file:mesh.db', 'sqlite:./mesh.db']) {
      const report = await moving(folder, () => restoreBackup('mesh.backup', url, { replace: true }))
      expect(report).toMatchObject({ restoredTo: folder.file('here', 'mesh.db') })
      expect(report.safetyCopy).toContain(folder.file('here'))
    }
    expect(namesIn(folder.file('there'))).toEqual([])
  })
})

test.each(['sqlite:', 'sqlite://', 'file:', 'file://', ''])(
  'a restore to a URL that begins with %j',
  async (scheme) => {
    using folder = temporaryFolder()
    const { file } = await backupOf(folder, 'b')
    const path = folder.file('data', 'mesh.db')
    expect(await restoreBackup(file, `${scheme}${path}`)).toMatchObject({ restoredTo: path })
    await using store = await openStorage(path)
    expect(await idsOf(store)).toHaveLength(50)
  },
)

test.each(['sqlite::memory:', ':memory:', 'mysql://localhost/mesh', 'sqlite:', ''])(
  'a restore to %j is refused with CONFIG',
  async (url) => {
    using folder = temporaryFolder()
    const { file } = await backupOf(folder, 'b')
    await expectCode(restoreBackup(file, url), 'CONFIG')
  },
)

test('a backup of a database in memory is one as well, and through linked folders', async () => {
  using folder = temporaryFolder()
  await using store = await openStorage('sqlite::memory:')
  await store.nodes.create(node('a'))
  mkdirSync(folder.file('real'))
  folder.link('link', folder.file('real'))
  const manifest = await store.backup(folder.file('link', 'mesh.backup'))
  expect(readFileSync(folder.file('real', 'mesh.backup')).length).toBe(manifest.bytes)
  await restoreBackup(manifest.file, folder.file('link', 'mesh.db'))
  await using restored = await openStorage(folder.file('real', 'mesh.db'))
  expect(await idsOf(restored)).toEqual(['a'])
})
