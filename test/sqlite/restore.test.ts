/** A file that is no backup is refused, and an existing file is never replaced. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { beforeAll, describe, expect, test } from 'vitest'
import { openStorage, restoreBackup, StorageError, verifyBackup } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../support/samples.ts'

/** A good backup, as bytes, and the manifest beside it. */
let sound = Buffer.alloc(0)
let manifestText = ''
beforeAll(async () => {
  using folder = temporaryFolder()
  await using store = await openStorage(folder.file('mesh.db'))
  await store.nodes.createMany(manyNodes(300))
  await store.policies.create(policy('default'))
  await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
  await store.backup(folder.file('mesh.backup'))
  sound = readFileSync(folder.file('mesh.backup'))
  manifestText = readFileSync(folder.file('mesh.backup.manifest.json'), 'utf8')
})

function writeSound(file: string): void {
  writeFileSync(file, sound)
  writeFileSync(`${file}.manifest.json`, manifestText)
}

const edited = (edit: (bytes: Buffer) => unknown): Buffer => {
  const bytes = Buffer.from(sound)
  edit(bytes)
  return bytes
}

type Make = (folder: TemporaryFolder, file: string) => unknown
const INVALID: Record<string, Make> = {
  'the first half of one': (_, file) => {
    writeFileSync(file, sound)
    truncateSync(file, Math.floor(sound.length / 2 / 4096) * 4096)
  },
  'one without its last byte': (_, file) => writeFileSync(file, sound.subarray(0, -1)),
  'one without its last 100 bytes': (_, file) => writeFileSync(file, sound.subarray(0, -100)),
  'one without its last page': (_, file) => writeFileSync(file, sound.subarray(0, -4096)),
  'its first page': (_, file) => writeFileSync(file, sound.subarray(0, 4096)),
  'a zeroed header': (_, file) =>
    writeFileSync(
      file,
      edited((bytes) => bytes.fill(0, 0, 100)),
    ),
  'a page of zeros': (_, file) =>
    writeFileSync(
      file,
      edited((bytes) => bytes.fill(0, 8192, 12_288)),
    ),
  nothing: (_, file) => writeFileSync(file, ''),
  'a text': (_, file) => writeFileSync(file, 'SQLite format 4'.repeat(1_000)),
  noise: (_, file) =>
    writeFileSync(
      file,
      edited((bytes) => {
        for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 2_654_435_761) >>> 24
      }),
    ),
  'another program’s database': (_, file) => {
    const raw = new Sqlite(file)
    raw.exec('CREATE TABLE something_else (id INTEGER)')
    raw.close()
  },
  'a live database that was copied with its log': async (folder, file) => {
    const path = folder.file('live', 'mesh.db')
    await using store = await openStorage(path)
    await store.nodes.create(node('in the log'))
    // By another process: closing a handle on the live file would drop the locks of this one.
    const copy =
      'const [path, file] = process.argv.slice(1); for (const end of ["", "-wal"]) fs.copyFileSync(path + end, file + end)'
    expect(spawnSync(process.execPath, ['-e', copy, path, file]).status).toBe(0)
  },
}

/** Everything in a folder, byte for byte. */
function contentOf(folder: string): Record<string, string> {
  const names = readdirSync(folder)
  return Object.fromEntries(names.map((name) => [name, readFileSync(`${folder}/${name}`, 'base64')]))
}

describe.each(Object.entries(INVALID))('%s', (_, make) => {
  test('is refused with BACKUP_INVALID, left as it is, and never restored', async () => {
    using folder = temporaryFolder()
    mkdirSync(folder.file('backups'))
    mkdirSync(folder.file('restored'))
    const file = folder.file('backups', 'mesh.backup')
    await make(folder, file)
    writeFileSync(`${file}.manifest.json`, manifestText)
    const before = contentOf(folder.file('backups'))
    for (let twice = 0; twice < 2; twice++) await expectCode(verifyBackup(file), 'BACKUP_INVALID')
    await expectCode(restoreBackup(file, folder.file('restored', 'mesh.db')), 'BACKUP_INVALID')
    expect(contentOf(folder.file('backups'))).toEqual(before)
    expect(readdirSync(folder.file('restored'))).toEqual([])
  })
})

test('the sound one is accepted, and left as it is', async () => {
  using folder = temporaryFolder()
  const file = folder.file('mesh.backup')
  writeSound(file)
  const manifest = await verifyBackup(file)
  expect(manifest).toMatchObject({ tables: { nodes: { rows: 300 } } })
  expect(await verifyBackup(file)).toEqual(manifest)
  expect(contentOf(folder.path)).toEqual({
    'mesh.backup': sound.toString('base64'),
    'mesh.backup.manifest.json': Buffer.from(manifestText).toString('base64'),
  })
})

test('a database that was closed and copied is judged the same twice, and nothing is put beside it', async () => {
  using folder = temporaryFolder()
  const store = await openStorage(folder.file('mesh.db'))
  await store.nodes.createMany(manyNodes(10))
  await store.close()
  mkdirSync(folder.file('backups'))
  const file = folder.file('backups', 'mesh.backup')
  copyFileSync(folder.file('mesh.db'), file)
  const judgement = (): Promise<unknown> => verifyBackup(file).catch((error: StorageError) => error.code)
  const first = await judgement()
  expect(readdirSync(folder.file('backups'))).toEqual(['mesh.backup'])
  expect(await judgement()).toEqual(first)
})

test('any byte of it may be wrong: it is refused', async () => {
  using folder = temporaryFolder()
  const file = folder.file('mesh.backup')
  writeSound(file)
  await verifyBackup(file)
  const places = Array.from({ length: 100 }, (_, index) => Math.floor((index * sound.length) / 100))
  for (const at of [...Array(100).keys(), ...places]) {
    writeFileSync(
      file,
      edited((bytes) => {
        bytes[at] = (bytes[at] ?? 0) ^ 0x01
      }),
    )
    await expectCode(verifyBackup(file), 'BACKUP_INVALID')
  }
})

describe('a manifest that was', () => {
  const spoilt: Record<string, (text: string) => string> = {
    'cut short': (text) => text.slice(0, -20),
    emptied: () => '',
    'written as another JSON': (text) => JSON.stringify(JSON.parse(text)),
    'given another count of rows': (text) => text.replace('"rows": 300', '"rows": 301'),
    'given another time': (text) => text.replace(/"createdAt": "20/, '"createdAt": "19'),
    'given another hash of itself': (text) => text.replace(/"manifestSha256": "./, '"manifestSha256": "x'),
    'made by a newer version': (text) => text.replace('"version": 1', '"version": 2'),
    'replaced by null': () => 'null',
  }
  test.each(Object.entries(spoilt))('%s is refused with BACKUP_INVALID', async (_, spoil) => {
    using folder = temporaryFolder()
    const file = folder.file('mesh.backup')
    writeSound(file)
    expect(spoil(manifestText)).not.toBe(manifestText)
    writeFileSync(`${file}.manifest.json`, spoil(manifestText))
    await expectCode(verifyBackup(file), 'BACKUP_INVALID')
    await expectCode(restoreBackup(file, folder.file('mesh.db')), 'BACKUP_INVALID')
    expect(existsSync(folder.file('mesh.db'))).toBe(false)
  })

  test('of another backup is refused with BACKUP_INVALID', async () => {
    using folder = temporaryFolder()
    const file = folder.file('mesh.backup')
    writeSound(file)
    await using store = await openStorage(folder.file('other.db'))
    await store.backup(folder.file('other.backup'))
    copyFileSync(folder.file('other.backup.manifest.json'), `${file}.manifest.json`)
    await expectCode(verifyBackup(file), 'BACKUP_INVALID')
  })
})

test('what is no file is refused, and not as something that may get better', async () => {
  using folder = temporaryFolder()
  await expectCode(verifyBackup(folder.file('missing')), 'CONFIG')
  const error: unknown = await verifyBackup(folder.path).catch((refused: unknown) => refused)
  expect(error).toBeInstanceOf(StorageError)
  expect(error).toMatchObject({ code: expect.toBeOneOf(['CONFIG', 'BACKUP_INVALID']), retryable: false })
})

describe('nothing is ever replaced: a restore is refused with CONFIG', () => {
  const refusals: Record<string, { there: string[]; target: string }> = {
    'onto a file': { there: ['mesh.db'], target: 'mesh.db' },
    'onto a folder': { there: [], target: '.' },
    'beside a log that is there': { there: ['mesh.db-wal'], target: 'mesh.db' },
    'beside an index that is there': { there: ['mesh.db-shm'], target: 'mesh.db' },
    'beside a journal that is there': { there: ['mesh.db-journal'], target: 'mesh.db' },
    'through a file': { there: ['file'], target: 'file/mesh.db' },
  }
  test.each(Object.entries(refusals))('%s', async (_, { there, target }) => {
    using folder = temporaryFolder()
    mkdirSync(folder.file('data'))
    for (const name of there) writeFileSync(folder.file('data', name), 'somebody’s')
    const file = folder.file('mesh.backup')
    writeSound(file)
    const before = contentOf(folder.file('data'))
    await expectCode(restoreBackup(file, folder.file('data', target)), 'CONFIG')
    expect(contentOf(folder.file('data'))).toEqual(before)
    expect(readFileSync(file).equals(sound)).toBe(true)
  })

  test('onto a store that is open, which goes on', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await store.nodes.create(node('mine'))
    writeSound(folder.file('mesh.backup'))
    await expectCode(restoreBackup(folder.file('mesh.backup'), path), 'CONFIG')
    await expectCode(restoreBackup(folder.file('mesh.backup'), `sqlite:${path}`), 'CONFIG')
    expect(await store.nodes.list()).toMatchObject([{ nodeId: 'mine' }])
    await store.nodes.create(node('another'))
  })

  test('onto itself', async () => {
    using folder = temporaryFolder()
    const file = folder.file('mesh.backup')
    writeSound(file)
    await expectCode(restoreBackup(file, file), 'CONFIG')
    expect(readFileSync(file).equals(sound)).toBe(true)
    expect(existsSync(`${file}-wal`)).toBe(false)
  })
})
