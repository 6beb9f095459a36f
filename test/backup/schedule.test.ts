/** Backups that an application makes while it runs. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listBackups } from '../../src/backup/folder.ts'
import { openStorage, type StorageOptions, verifyBackup } from '../../src/index.ts'
import { kindsOfDisk } from '../faults/disks.ts'
import { Clock } from '../support/clock.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'
import { backupAt, database, namesIn } from './support/files.ts'
import { eventually, recordBackups, scheduled } from './support/scheduled.ts'

const unhandled: unknown[] = []
const onUnhandled = (error: unknown): void => void unhandled.push(error)
beforeAll(() => {
  process.on('unhandledRejection', onUnhandled)
  process.on('uncaughtException', onUnhandled)
})
afterAll(() => {
  process.off('unhandledRejection', onUnhandled)
  process.off('uncaughtException', onUnhandled)
  expect(unhandled).toEqual([])
})

const EVERY = { everySeconds: 1, keep: { last: 2 } }

test('makes one at once and one after the other, and keeps as many as it should', async () => {
  using folder = temporaryFolder()
  using events = recordBackups()
  const backups = folder.file('deep', 'backups')
  await using store = await scheduled(folder.file('mesh.db'), { folder: backups, ...EVERY })
  await store.nodes.create(node('a'))
  await eventually('three backups', () => events.made.length >= 3)
  expect(events.made[0]).toMatchObject({ trigger: 'schedule', bytes: expect.any(Number) })
  expect(events.failed).toEqual([])
  const health = await store.health()
  expect(health.problems).toEqual([])
  expect(health.lastBackup).toBeInstanceOf(Date)
  await store.close()
  const names = namesIn(backups).filter((name) => !name.endsWith('.json'))
  expect(names.length).toBeLessThanOrEqual(3)
  for (const name of names) {
    expect(name).toMatch(/^mesh-\d{8}T\d{9}Z\.sqlite$/)
    await verifyBackup(`${backups}/${name}`)
  }
  // No turn of it comes after close().
  const made = events.made.length
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  expect(events.made).toHaveLength(made)
})

test('counts the newest in the folder, by the store’s clock, also of one that ran before', async () => {
  using folder = temporaryFolder()
  using events = recordBackups()
  const clock = new Clock('2026-05-01T12:00:00.000Z')
  const path = await database(folder.file('data', 'mesh.db'))
  const backups = folder.file('backups')
  const count = (): number => listBackups(backups).backups.length
  await backupAt(path, `${backups}/by hand`, '2026-05-01T11:59:00.000Z')
  // One from the future, by a clock that was wrong, neither counts nor is waited for.
  await backupAt(path, `${backups}/future`, '2031-05-01T12:00:00.000Z')
  const options = { folder: backups, everySeconds: 60 + 1 }
  {
    await using store = await scheduled(path, options, { now: clock.now })
    await eventually('the second in which it is due', async () => {
      expect((await store.health()).problems).toEqual([])
      clock.advance(200)
      return count() === 3
    })
    expect(clock.now().getTime()).toBeGreaterThanOrEqual(Date.parse('2026-05-01T12:00:01.000Z'))
  }
  clock.advance(30_000)
  for (let restart = 0; restart < 3; restart++) {
    await using store = await scheduled(path, options, { now: clock.now })
    await store.nodes.save(node('a'))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(count()).toBe(3)
  clock.advance(40_000)
  await using store = await scheduled(path, options, { now: clock.now })
  await eventually('the next', () => count() === 4)
  expect(await store.nodes.count()).toBe(51)
  expect(events.failed).toEqual([])
})

test('what it has just made stays, though the clock was set back', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('data', 'mesh.db'))
  const backups = folder.file('backups')
  for (const name of ['1', '2', '3']) await backupAt(path, `${backups}/${name}`, `203${name}-01-01T00:00:00Z`)
  await using store = await scheduled(path, { folder: backups, ...EVERY })
  await eventually('its pruning', () => !namesIn(backups).includes('1'))
  await store.close()
  const names = namesIn(backups).filter((name) => !name.endsWith('.json'))
  expect(names).toEqual(['2', '3', expect.stringMatching(/^mesh-.*\.sqlite$/)])
})

test('close() stops one that is being made, and nothing is left', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('data', 'mesh.db'), 6_000)
  const backups = folder.file('backups')
  for (let turn = 0; turn < 6; turn++) {
    using events = recordBackups()
    const store = await scheduled(path, { folder: backups, everySeconds: 3_600 })
    await eventually('its beginning', () => exists(backups))
    await new Promise((resolve) => setTimeout(resolve, turn * 20))
    await store.close()
    const left = exists(backups) ? namesIn(backups) : []
    expect(left.filter((name) => name.includes('partial'))).toEqual([])
    expect(left).toHaveLength(events.made.length * 2)
    rmSync(backups, { recursive: true, force: true })
  }
})

const exists = (folder: string): boolean => {
  try {
    return namesIn(folder).length >= 0
  } catch {
    return false
  }
}

describe('a failure is told, retried, and disturbs no write:', () => {
  test('the folder is a file, and then is not', async () => {
    using folder = temporaryFolder()
    using events = recordBackups()
    const backups = folder.write('backups', 'x')
    await using store = await scheduled(folder.file('mesh.db'), { folder: backups, ...EVERY })
    const problem = await eventually('the problem', async () => (await store.health()).problems[0])
    expect(problem).toMatchObject({ code: 'CONFIG', message: expect.stringMatching(/^The scheduled backup failed: /) })
    await store.nodes.createMany(manyNodes(100))
    rmSync(backups)
    await eventually('a backup', () => events.made.length > 0)
    await eventually('health', async () => (await store.health()).problems.length === 0)
  })

  const [full] = kindsOfDisk
  test('its disk is full, or cannot be written, and then can', { timeout: 90_000 }, async () => {
    using disk = full?.make()
    if (disk === undefined) {
      console.warn('NOT TESTED HERE: a schedule on a disk that is full. It needs root.')
      return
    }
    using folder = temporaryFolder()
    using events = recordBackups()
    const path = await database(folder.file('mesh.db'), 3_000)
    mkdirSync(disk.folder.file('backups'))
    disk.fill(process.pid, path)
    await using store = await scheduled(path, { folder: disk.folder.file('backups'), ...EVERY })
    const problem = await eventually('the problem', async () => (await store.health()).problems[0])
    expect(problem).toMatchObject({ code: 'STORAGE_FULL' })
    expect(events.failed.length).toBeGreaterThan(0)
    expect(events.failed[0]).toMatchObject({ trigger: 'schedule', error: { code: 'STORAGE_FULL' } })
    await store.nodes.createMany(manyNodes(100, 'meanwhile'))
    expect(namesIn(disk.folder.file('backups'))).toEqual([])
    disk.heal(process.pid)
    await eventually('a backup', () => events.made.length > 0)
    await eventually('health', async () => (await store.health()).problems.length === 0)
  })
})

describe('options are refused with CONFIG, and named:', () => {
  const wrong: Record<string, [unknown, RegExp]> = {
    'no folder': [{ everySeconds: 1 }, /backups.*folder/],
    'no period': [{ folder: 'x' }, /backups.*everySeconds/],
    'a period of nothing': [{ folder: 'x', everySeconds: 0 }, /everySeconds/],
    'half a second': [{ folder: 'x', everySeconds: 0.5 }, /everySeconds/],
    'longer than a timer': [{ folder: 'x', everySeconds: 2_147_484 }, /everySeconds/],
    'an empty folder': [{ folder: '', everySeconds: 1 }, /folder/],
    'a folder of no kind': [{ folder: 7, everySeconds: 1 }, /folder/],
    'an unknown rule': [{ folder: 'x', everySeconds: 1, keep: { yearly: 1 } }, /yearly/],
    'less than nothing': [{ folder: 'x', everySeconds: 1, keep: { last: -1 } }, /last/],
    'an unknown property': [{ folder: 'x', everySeconds: 1, every: 1 }, /every/],
    'no object': ['daily', /backups/],
  }
  test.each(Object.entries(wrong))('%s', async (_, [backups, named]) => {
    using folder = temporaryFolder()
    // As a program without types would write it.
    const options = { url: folder.file('mesh.db'), backups } as StorageOptions
    const error = await expectCode(openStorage(options), 'CONFIG')
    expect(error.issues.map(({ path, message }) => `${path} ${message}`).join()).toMatch(named)
    expect(namesIn(folder.path)).toEqual([])
  })
})

test('rules that keep nothing are a problem, and nothing is deleted', async () => {
  using folder = temporaryFolder()
  using events = recordBackups()
  const schedule = { folder: folder.file('backups'), everySeconds: 1, keep: { last: 0 } }
  const opening = scheduled(folder.file('mesh.db'), schedule)
  const refused = await opening.then(
    async (store) => {
      await using opened = store
      await eventually('a backup', () => events.made.length > 0)
      return await eventually('the problem', async () => (await opened.health()).problems[0])
    },
    (error: unknown) => error,
  )
  expect(refused).toMatchObject({ code: 'CONFIG' })
})

test('what the folder holds that is no backup disturbs nothing', async () => {
  using folder = temporaryFolder()
  using events = recordBackups()
  mkdirSync(folder.file('backups'))
  writeFileSync(folder.file('backups', 'x.manifest.json'), '{')
  mkdirSync(folder.file('backups', 'y.manifest.json'))
  await using store = await scheduled(folder.file('mesh.db'), { folder: folder.file('backups'), ...EVERY })
  await eventually('a backup', () => events.made.length > 0)
  expect((await store.health()).problems).toEqual([])
})
