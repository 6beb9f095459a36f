/** Findings around a SQLite file, without a look into it. */
import { chmodSync, existsSync, linkSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { Findings } from '../../src/check/findings.ts'
import { type CheckReport, check } from '../../src/check/index.ts'
import { checkFileSystem, remoteFileSystem } from '../../src/check/sqlite/file-system.ts'
import { openStorage } from '../../src/index.ts'
import { Program } from '../sqlite/support/program.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { kinds, only, reasonFor, soundFile, wrong } from './support/sound.ts'

const AS_NOBODY = fileURLToPath(new URL('programs/as-nobody.ts', import.meta.url))

/** The check of somebody who has no rights to the file but those that everybody has. */
async function checkedAsNobody(path: string): Promise<CheckReport> {
  await using program = new Program(process.execPath, [AS_NOBODY, path])
  return await program.answer()
}

describe('a sound file', () => {
  test('passes every check', async () => {
    using sound = await soundFile()
    const report = await check(sound.path)
    expect(report.findings).toEqual([])
    expect(report.notChecked).toEqual([])
    expect(report.passed).toEqual([
      'file-rights',
      'file-system',
      'integrity',
      'last-backup',
      'migrations',
      'move',
      'open',
      'others',
      'rows',
      'schema',
      'wal-size',
    ])
  })

  test('is not read through with quick, and that is said', async () => {
    using sound = await soundFile()
    sound.execute("UPDATE nodes SET interfaces = 'broken'")
    const { findings, notChecked } = await check(sound.path, { quick: true })
    expect(findings).toEqual([])
    expect(notChecked.map(({ check: name }) => name).sort()).toEqual(['integrity', 'rows'])
  })
})

describe('rights', () => {
  test('a file that others may read or write', async () => {
    using sound = await soundFile()
    await using store = await openStorage(sound.path)
    await store.nodes.create(node('in the log'))
    for (const end of ['', '-wal', '-shm']) chmodSync(sound.path + end, 0o664)
    const { message, advice } = only(await check(sound.path), 'warning', 'file-rights')
    expect(message).toContain('may be read and written by its group and everybody (mode 664)')
    expect(advice).toBe(`chmod 600 ${['', '-wal', '-shm'].map((end) => sound.path + end).join(' ')}`)
    for (const end of ['', '-wal', '-shm']) chmodSync(sound.path + end, 0o600)
    chmodSync(sound.path, 0o640)
    expect(only(await check(sound.path), 'warning', 'file-rights').message).toContain('may be read by its group (mode')
  })

  test('a folder in which everybody may put another file', async () => {
    using sound = await soundFile()
    chmodSync(sound.folder.path, 0o777)
    expect(only(await check(sound.path), 'warning', 'file-rights').advice).toBe(`chmod o-w ${sound.folder.path}`)
    chmodSync(sound.folder.path, 0o1777)
    expect((await check(sound.path)).findings).toEqual([])
  })

  test('a file that this user may not read', async () => {
    using sound = await soundFile()
    chmodSync(sound.folder.path, 0o755)
    if (process.getuid?.() !== 0) chmodSync(sound.path, 0o000)
    const report = await checkedAsNobody(sound.path)
    expect(only(report, 'error', 'file-rights').message).toContain('may not read')
    expect(only(report, 'error', 'open').advice).toContain('as the user that the application runs as')
    expect(reasonFor(report, 'rows')).toBe('The file could not be opened.')
  })

  test('a file, and a folder, that this user may not write', async () => {
    using sound = await soundFile()
    sound.execute('PRAGMA journal_mode = DELETE')
    chmodSync(sound.path, 0o444)
    chmodSync(sound.folder.path, 0o555)
    const report = await checkedAsNobody(sound.path)
    chmodSync(sound.folder.path, 0o755)
    const messages = report.findings.filter(({ check: name }) => name === 'file-rights').map(({ message }) => message)
    expect(messages).toEqual([
      expect.stringContaining('mode 444'),
      expect.stringContaining(`may not write ${sound.path}`),
      expect.stringContaining(`may not write the folder ${sound.folder.path}`),
    ])
    expect(report.passed).toContain('rows')
  })

  test('a log that this user may not create', async () => {
    using sound = await soundFile()
    chmodSync(sound.path, 0o444)
    chmodSync(sound.folder.path, 0o555)
    const report = await checkedAsNobody(sound.path)
    chmodSync(sound.folder.path, 0o755)
    expect(kinds(report)).toEqual(['error open', 'warning file-rights'])
    expect(only(report, 'error', 'open').advice).toContain('as the user that the application runs as')
  })
})

describe('names', () => {
  test('a file with two names is an error, and is not opened', async () => {
    using sound = await soundFile()
    const [before, second] = [readFileSync(sound.path), sound.folder.file('second.db')]
    linkSync(sound.path, second)
    const report = await check(second)
    expect(kinds(report)).toEqual(['error open'])
    expect(only(report, 'error', 'open')).toMatchObject({ count: 2 })
    expect(reasonFor(report, 'integrity')).toBe('SQLite must not open it.')
    expect(existsSync(`${second}-wal`)).toBe(false)
    expect(readFileSync(sound.path).equals(before)).toBe(true)
  })

  test('nothing, a folder, a link to nowhere and a database in memory cannot be checked', async () => {
    using folder = temporaryFolder()
    await expectCode(check(folder.file('none.db')), 'CONFIG')
    await expectCode(check(folder.path), 'CONFIG')
    await expectCode(check(folder.link('nowhere.db', folder.file('none.db'))), 'CONFIG')
    await expectCode(check('sqlite::memory:'), 'CONFIG')
    await expectCode(check('mysql://nobody'), 'CONFIG')
  })
})

describe('what lies beside it', () => {
  test('a log whose database is gone', async () => {
    using sound = await soundFile()
    writeFileSync(`${sound.path}-wal`, 'writes')
    rmSync(sound.path)
    const report = await check(sound.path)
    expect(kinds(report)).toEqual(['error open'])
    expect(only(report, 'error', 'open').advice).toContain('Bring the database back')
  })

  test('a write that was interrupted and must be undone first', async () => {
    using sound = await soundFile()
    using copy = temporaryFolder()
    const writer = new Sqlite(sound.path)
    writer.pragma('journal_mode = DELETE')
    writer.pragma('cache_size = 1')
    writer.pragma('cache_spill = 1')
    writer.exec('BEGIN; UPDATE nodes SET protocols = \'["changed"]\'')
    // As it would be after a power cut: both files as they are now, and nobody at work.
    for (const end of ['', '-journal']) writeFileSync(copy.file(`mesh.db${end}`), readFileSync(sound.path + end))
    writer.exec('ROLLBACK')
    writer.close()
    chmodSync(copy.file('mesh.db'), 0o600)
    const report = await check(copy.file('mesh.db'))
    expect(only(report, 'error', 'open').advice).toContain('Do not delete what lies beside it')
    expect(existsSync(copy.file('mesh.db-journal'))).toBe(true)

    await (await openStorage(copy.file('mesh.db'))).close()
    expect(wrong(await check(copy.file('mesh.db')))).toEqual([])
  })

  test('a log that has grown', async () => {
    using sound = await soundFile()
    await using store = await openStorage(sound.path)
    await store.nodes.create(node('in the log'))
    expect(wrong(await check(sound.path))).toEqual([])
    const report = await check(sound.path, { walBytes: 4_096 })
    expect(only(report, 'warning', 'wal-size').advice).toContain('stands still')
  })
})

describe('the disk', () => {
  test('is one of another machine', async () => {
    using sound = await soundFile()
    const findings = new Findings()
    // A network's file system cannot be had here: this is what the system says of one.
    checkFileSystem(sound.path, findings, { ...statfsSync(sound.folder.path), type: 0x6969 })
    const report = findings.report('sqlite')
    if (process.platform === 'linux') expect(only(report, 'warning', 'file-system').message).toContain('NFS')
    else expect(reasonFor(report, 'file-system')).toBeDefined()
  })

  test.each([
    [0xff534d42, 'CIFS'],
    [-11_317_950, 'CIFS'],
    [0x65735546, 'FUSE'],
    [0xef53, undefined],
    [0x01021994, undefined],
  ])('of the type %i is %s', (type, name) => {
    expect(remoteFileSystem(type)).toBe(name)
  })
})
