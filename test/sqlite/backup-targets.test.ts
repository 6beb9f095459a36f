/** Places where a backup may be put. */
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openStorage, verifyBackup } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { fill, mode } from './support/filled.ts'
import { outcomes, tally } from './support/settled.ts'

describe('a target that is taken or cannot be used is refused with CONFIG, and left as it is:', () => {
  test('a file', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    await fill(store)
    const target = folder.file('taken')
    writeFileSync(target, 'somebody’s', { mode: 0o644 })
    await expectCode(store.backup(target), 'CONFIG')
    expect(readFileSync(target, 'utf8')).toBe('somebody’s')
    expect(mode(target)).toBe('644')
  })

  test('an earlier backup, the database itself, its log, a folder', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    await fill(store)
    const manifest = await store.backup(folder.file('mesh.backup'))
    await store.nodes.create(node('later'))
    for (const target of ['mesh.backup', 'mesh.db', 'mesh.db-wal', 'mesh.db-shm', '.']) {
      await expectCode(store.backup(folder.file(target)), 'CONFIG')
    }
    expect(await verifyBackup(folder.file('mesh.backup'))).toEqual(manifest)
    expect(await store.nodes.count()).toBe(302)
  })

  test('a symbolic link to nowhere', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    symlinkSync(folder.file('nowhere'), folder.file('link'))
    await expectCode(store.backup(folder.file('link')), 'CONFIG')
    expect(readdirSync(folder.path).sort()).toEqual(['link', 'mesh.db', 'mesh.db-shm', 'mesh.db-wal'])
  })

  test('a path through a file', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    writeFileSync(folder.file('file'), 'x')
    await expectCode(store.backup(folder.file('file', 'mesh.backup')), 'CONFIG')
    expect(readFileSync(folder.file('file'), 'utf8')).toBe('x')
  })

  test('of several at once for one target, one is made', async () => {
    using folder = temporaryFolder()
    await using store = await openStorage(folder.file('mesh.db'))
    await fill(store)
    const target = folder.file('backups', 'mesh.backup')
    const codes = await outcomes(Array.from({ length: 5 }, () => store.backup(target)))
    expect(tally(codes)).toEqual({ done: 1, CONFIG: 4 })
    expect(readdirSync(folder.file('backups'))).toEqual(['mesh.backup', 'mesh.backup.manifest.json'])
    await verifyBackup(target)
  })
})
