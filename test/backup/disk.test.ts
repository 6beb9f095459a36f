/** A disk that is full, or fails: a backup and a restore say so, the old database is whole, and nothing is left. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { restoreBackup, verifyBackup } from '../../src/index.ts'
import { Script } from '../sqlite/support/script.ts'
import { temporaryFolder } from '../support/folders.ts'
import { small } from '../support/small-disk.ts'
import type { Answer, Order } from './programs/filler.ts'
import { backupOf, contentOf, database, manifestOf, namesIn } from './support/files.ts'

const script = await Script.bundle(new URL('programs/filler.ts', import.meta.url))
const templates = temporaryFolder()
let old = ''
beforeAll(async () => {
  await backupOf(templates, 'new', 6_000)
  old = contentOf(await database(templates.file('old', 'mesh.db'), 3_000, 'old'))
})
afterAll(() => templates[Symbol.dispose]())

const DATA = ['mesh.db']
const PAGE = 4_096

describe('a backup to a disk', () => {
  const size = (): number => statSync(templates.file('old', 'mesh.db')).size
  const rooms: [string, () => number][] = [
    ['that is full', () => 0],
    ['that is full after a page', () => PAGE],
    ['that is full in the middle of it', () => size() / 2],
    ['that is full at its last page', () => size() - PAGE],
    ['that has no room for the manifest', () => size()],
  ]
  test.each(rooms)('%s is refused with STORAGE_FULL', async (_, room) => {
    using disk = small()
    if (disk === undefined) return
    mkdirSync(disk.folder.file('backups'))
    disk.leave(room())
    await using program = script.start()
    const [path, file] = [templates.file('old', 'mesh.db'), disk.folder.file('backups', 'mesh.backup')]
    const order: Order = { do: 'backup', path, file, pause: templates.file('old') }
    expect(await program.ask<Answer>(order)).toMatchObject({ outcome: 'STORAGE_FULL', left: [] })
    disk.leave(size() + 4 * PAGE)
    expect(await program.ask<Answer>(order)).toMatchObject({ outcome: 'done' })
    await verifyBackup(file)
  })

  test('that becomes read-only is refused with READ_ONLY', async () => {
    using disk = small()
    if (disk === undefined) return
    mkdirSync(disk.folder.file('backups'))
    disk.readOnly()
    await using program = script.start()
    for (const folder of ['backups', 'other']) {
      const file = disk.folder.file(folder, 'mesh.backup')
      const order: Order = { do: 'backup', path: templates.file('old', 'mesh.db'), file, pause: templates.path }
      const { outcome, message } = await program.ask<Answer>(order)
      expect(outcome, message).toBe(folder === 'other' ? 'CONFIG' : 'READ_ONLY')
    }
  })

  test('that reports errors is refused with UNAVAILABLE', async () => {
    using folder = temporaryFolder()
    mkdirSync(folder.file('backups'))
    await using program = script.start()
    const limited = spawnSync('prlimit', ['--pid', String(program.pid), `--fsize=${PAGE * 20}:unlimited`])
    if (limited.status !== 0) return console.warn('NOT TESTED HERE: a disk that reports errors. It needs prlimit.')
    const file = folder.file('backups', 'mesh.backup')
    const order: Order = { do: 'backup', path: templates.file('old', 'mesh.db'), file, pause: templates.path }
    expect(await program.ask<Answer>(order)).toMatchObject({ outcome: 'UNAVAILABLE', left: [] })
  })
})

describe('a restore over a database, with a disk that is full', () => {
  /** The backup is elsewhere; the database is on the small disk. */
  async function restores(room: { before?: number; overwriting?: number }): Promise<void> {
    using disk = small()
    if (disk === undefined) return
    const [path, pause] = [disk.folder.file('data', 'mesh.db'), templates.file(`go-${Math.random()}`)]
    cpSync(templates.file('old'), disk.folder.file('data'), { recursive: true })
    await using program = script.start()
    if (room.before !== undefined) disk.leave(room.before)
    const order: Order = { do: 'restore', path, file: templates.file('new'), pause }
    program.send(order)
    let answer = await program.answer<Answer | 'paused'>()
    if (answer === 'paused') {
      if (room.overwriting !== undefined) disk.leave(room.overwriting)
      writeFileSync(pause, '')
      answer = await program.answer<Answer>()
    }
    expect(answer).toMatchObject({ outcome: 'STORAGE_FULL', left: DATA })
    expect(contentOf(path)).toBe(old)
    writeFileSync(pause, '')
    disk.leave(60_000_000)
    expect(await program.ask<Answer>(order)).toMatchObject({ outcome: 'done' })
    expect(contentOf(path)).not.toBe(old)
  }

  test.each([0, 200 * PAGE])('during the safety copy, after %i bytes: STORAGE_FULL', (before) => restores({ before }))

  test.each([0, 300 * PAGE])('during the overwriting, after %i bytes: STORAGE_FULL', (overwriting) =>
    restores({ overwriting }),
  )
})

describe('a restore to where nothing is, with a disk', () => {
  const size = (): number => statSync(templates.file('new')).size
  const rooms: [string, () => number][] = [
    ['that is full', () => 0],
    ['that is full in the middle of it', () => size() / 2],
    ['that is full at its last page', () => size() - PAGE],
  ]
  test.each(rooms)('%s: STORAGE_FULL', async (_, room) => {
    using disk = small()
    if (disk === undefined) return
    const path = disk.folder.file('data', 'mesh.db')
    mkdirSync(disk.folder.file('data'))
    disk.leave(room())
    await using program = script.start()
    const order: Order = { do: 'restore', path, file: templates.file('new'), pause: templates.path }
    expect(await program.ask<Answer>(order)).toMatchObject({ outcome: 'STORAGE_FULL', left: [] })
    disk.leave(60_000_000)
    expect(await program.ask<Answer>(order)).toMatchObject({ outcome: 'done', left: DATA })
    expect(contentOf(path)).toBe(contentOf(templates.file('new')))
  })
})

test('a damaged database that was moved aside is back when there is no room for the backup', async () => {
  using disk = small()
  if (disk === undefined) return
  const path = disk.folder.file('data', 'mesh.db')
  mkdirSync(disk.folder.file('data'))
  writeFileSync(path, 'damaged')
  disk.leave(PAGE * 10)
  await using program = script.start()
  const order: Order = { do: 'restore', path, file: templates.file('new'), pause: templates.path }
  expect(await program.ask<Answer>(order)).toMatchObject({ outcome: 'STORAGE_FULL', left: DATA })
  expect(statSync(path).size).toBe(7)
})

test('the template was left as it was', async () => {
  expect(namesIn(templates.path).filter((name) => name.startsWith('new'))).toEqual(
    ['new', 'new-source', manifestOf('new')].sort(),
  )
  using folder = temporaryFolder()
  await restoreBackup(templates.file('new'), folder.file('mesh.db'))
})
