/**
 * `kill -9` in the middle of a restore and of a backup, of databases with two own tables.
 */
import { cpSync, mkdirSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { pruneBackups } from '../../src/backup/folder.ts'
import { openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import type { Order } from '../backup/programs/restorer.ts'
import { copyOver, planted } from '../backup/support/copy-over.ts'
import { contentOf, database, manifestOf, namesIn, SAFETY_COPY } from '../backup/support/files.ts'
import { killInLoop, reference } from '../backup/support/kills.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { Script } from '../sqlite/support/script.ts'
import { bound, SEED } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { addOwnRows, addOwnTables } from '../support/own-tables.ts'
import { manyNodes, node, numbered } from '../support/samples.ts'
import { from, laterVersion } from './migration-tree.ts'
import { nameAtOnce } from './name-at-once.ts'
import { shows } from './shown.ts'

const KILLS = bound('BACKUP_KILLS', { short: 24, long: 400 })
/** Each is a second or two. */
const SERVER_KILLS = Math.ceil(KILLS / 4)
const TIMEOUT = { timeout: 600_000 + KILLS * 5_000 }
/** At most: it is found in the first few, as a rule. */
const CONTROL_KILLS = 60
const CONTROL_TIMEOUT = { timeout: 600_000 + CONTROL_KILLS * 5_000 }
const STAGES = ['reading', 'safety copy', 'overwriting', 'verification', 'migration']

// The restoring code is a later version: it migrates what it has restored.
const later = await laterVersion()
const templates = temporaryFolder()
afterAll(() => {
  later[Symbol.dispose]()
  templates[Symbol.dispose]()
})
const RUNNER = new URL('../backup/programs/restorer.ts', import.meta.url)
const runner = await Script.bundle(RUNNER, from(later))

const hasty = await Script.bundle(RUNNER, { ...copyOver, ...from(later), name: 'copy-over' })
const early = await Script.bundle(RUNNER, { ...nameAtOnce, ...from(later), name: 'name-at-once' })

/** Own tables for the database at a URL or path, with rows that refer to its nodes. */
async function withOwnTables(url: string, prefix: string): Promise<string> {
  await addOwnTables(url)
  await addOwnRows(
    url,
    Array.from({ length: 300 }, (_, n) => numbered(prefix, n)),
  )
  return url
}

for (const name of ['old', 'new']) {
  const path = await database(templates.file(name, 'mesh.db'), 1_500, name)
  await withOwnTables(path, name)
}
{
  await using store = await openStorage(templates.file('new', 'mesh.db'))
  await store.backup(templates.file('mesh.backup'))
}
const file = templates.file('mesh.backup')

interface Killed {
  readonly wrong: string[]
  readonly found: Record<string, number>
  readonly left: Record<'copies' | 'partial', number>
}

async function killRestores(script: Script, kills: number, stopAtWrong = false): Promise<Killed> {
  using folder = temporaryFolder()
  const prepare = (cycle: number | string): Order & { path: string } => {
    cpSync(templates.file('old'), folder.file(`${cycle}`), { recursive: true })
    return { do: 'restore', file, path: folder.file(`${cycle}`, 'mesh.db') }
  }
  const old = contentOf(templates.file('old', 'mesh.db'))
  await restoreBackup(file, folder.file('plain.db'), { migrate: false })
  const plain = contentOf(folder.file('plain.db'))
  await using finisher = runner.start()
  const whole = prepare('whole')
  const { stages, milliseconds } = await reference(finisher, whole)
  expect([...new Set(stages)]).toEqual(STAGES)
  const done = contentOf(whole.path)
  expect(new Set([old, plain, done]).size).toBe(3)

  const killed: Killed = { wrong: [], found: {}, left: { copies: 0, partial: 0 } }
  const judge = async (order: Order, where: string): Promise<void> => {
    const names = { [old]: 'old', [plain]: 'restored', [done]: 'migrated' }
    const beside = namesIn(dirname(order.path)).filter((name) => !/^mesh\.db(-wal|-shm|-journal)?$/.test(name))
    const content = contentOf(order.path)
    const found = names[content] ?? 'neither'
    killed.found[found] = (killed.found[found] ?? 0) + 1
    if (found === 'neither') killed.wrong.push(`${where}: it is ${content}`)
    for (const name of beside) {
      if (SAFETY_COPY.test(name)) {
        killed.left.copies++
        if (contentOf(join(dirname(order.path), name)) !== old)
          killed.wrong.push(`${where}: ${name} is not what was there`)
      } else if (/\.partial-[0-9a-f]{12}(-\w+)?$/.test(name)) killed.left.partial++
      else if (!name.endsWith('Z.manifest.json')) killed.wrong.push(`${where}: there is ${name}`)
    }
    await reference(finisher, { do: 'restore', file, path: order.path }).catch((error: unknown) =>
      killed.wrong.push(`${where}: the next restore: ${error}`),
    )
    if (contentOf(order.path) !== done) killed.wrong.push(`${where}: the next restore did not finish`)
    // Nothing unfinished, and no second copy of what was there: one will do, however often it is killed.
    const left = namesIn(dirname(order.path)).filter((name) => name !== 'mesh.db')
    const whole = left.filter((name) => SAFETY_COPY.test(name))
    if (left.join() !== whole.flatMap((name) => [name, manifestOf(name)]).join() || whole.length > 2)
      killed.wrong.push(`${where}: the next restore left ${left}`)
    const contents = whole.map((name) => contentOf(join(dirname(order.path), name)))
    if (new Set(contents).size < contents.length) killed.wrong.push(`${where}: there are two copies of one content`)
  }
  const enough = (): boolean => stopAtWrong && killed.wrong.length > 0
  // The program with the planted mistake has other points.
  const points = script === runner ? stages : stages.filter((stage) => stage !== 'verification')
  const figures = await killInLoop({ script, kills, seed: SEED, stages: points, milliseconds, prepare, judge, enough })
  console.log(`kill -9, restore, SEED=${SEED}: ${JSON.stringify({ ...figures, ...killed, points: stages.length })}`)
  if (script === runner) {
    expect(Object.keys(figures.stopped).sort()).toEqual([...STAGES].sort())
    expect(Object.values(figures.stopped).reduce((sum, count) => sum + count, 0) + figures.atRandom).toBe(kills)
  }
  return killed
}

test('a restore that is killed has happened or has not, and the next one finishes', TIMEOUT, async () => {
  const { wrong, found } = await killRestores(runner, KILLS)
  expect(wrong).toEqual([])
  expect(Object.keys(found)).toEqual(expect.arrayContaining(['old', 'migrated']))
  shows(`${KILLS} restores killed: ${JSON.stringify(found)}, none by half`)
})

test('the same test finds a restore that copies over the file', CONTROL_TIMEOUT, async () => {
  const { wrong } = await killRestores(hasty, CONTROL_KILLS, true)
  expect(planted.count).toBe(1)
  expect(wrong.length).toBeGreaterThan(0)
})

/** Throws at the first that is wrong. `path`: a file, or the URL of a server. */
async function killBackups(script: Script, kills: number, path: string): Promise<void> {
  using folder = temporaryFolder()
  await using first = script.start()
  // The first opening migrates; the second is what all the others are like.
  await reference(first, { do: 'backup', path, file: folder.file('first', 'mesh.backup') })
  const again = folder.file('second', 'mesh.backup')
  const { stages, milliseconds } = await reference(first, { do: 'backup', path, file: again })
  const { tables, ownTables } = await verifyBackup(again)
  expect(ownTables).toMatchObject({ links: { rows: 900 }, sites: { rows: 5 } })
  const found: Record<string, number> = {}
  const prepare = (cycle: number): Order => ({ do: 'backup', path, file: folder.file(`${cycle}`, 'mesh.backup') })
  const judge = async (order: Order, where: string): Promise<void> => {
    const target = dirname(order.file)
    mkdirSync(target, { recursive: true })
    const names = namesIn(target)
    const finished = names.filter((name) => !name.includes('.partial-'))
    const what = finished.join(' and ') || (names.length > 0 ? 'unfinished' : 'nothing')
    found[what] = (found[what] ?? 0) + 1
    // A manifest alone is no backup to anybody: it is there between the one link and the other.
    expect(['', 'mesh.backup.manifest.json', 'mesh.backup mesh.backup.manifest.json'], where).toContain(
      finished.join(' '),
    )
    if (finished.length === 2) expect(await verifyBackup(order.file)).toMatchObject({ tables, ownTables })
    else {
      // The next one of this name takes what was left away, also a manifest that is alone.
      cpSync(target, `${target}-again`, { recursive: true })
      const again = join(`${target}-again`, 'mesh.backup')
      await using store = await openStorage({ url: path, migrate: 'skip', readOnly: true })
      await store.backup(again)
      await verifyBackup(again)
      expect(namesIn(`${target}-again`), where).toEqual(['mesh.backup', 'mesh.backup.manifest.json'])
    }
    const [day, week] = [86_400, 7 * 86_400]
    for (const name of names) {
      const touched = Date.now() / 1_000 - (name.includes('.partial-') ? day + 60 : week)
      utimesSync(join(target, name), touched, touched)
    }
    // Old unfinished files go, and a manifest without its backup; nothing else does.
    await pruneBackups(target, { last: 1 })
    expect(namesIn(target)).toEqual(finished.length === 2 ? finished : [])
  }
  const figures = await killInLoop({ script, kills, seed: SEED, stages, milliseconds, prepare, judge })
  console.log(`kill -9, backup, SEED=${SEED}: ${JSON.stringify({ ...figures, found, points: stages.length })}`)
  await using store = await openStorage({ url: path, migrate: 'skip' })
  await store.nodes.create(node('after'))
}

test('a backup that is killed is there whole, or only unfinished files are', TIMEOUT, async () => {
  using folder = temporaryFolder()
  const path = await withOwnTables(await database(folder.file('data', 'mesh.db'), 1_500), 'n')
  await killBackups(runner, KILLS, path)
  expect(namesIn(dirname(path)).filter((name) => name.includes('partial'))).toEqual([])
  shows(`${KILLS} backups killed, none half finished`)
})

test('the same test finds a backup that is written under its own name', CONTROL_TIMEOUT, async () => {
  using folder = temporaryFolder()
  const path = await withOwnTables(await database(folder.file('data', 'mesh.db'), 1_500), 'n')
  await expect(killBackups(early, CONTROL_KILLS, path)).rejects.toThrow(/to include 'mesh\.backup/)
})

describePostgres('on a server', () => {
  test('a backup that is killed is there whole, or only unfinished files are', TIMEOUT, async () => {
    await using server = await createDatabase()
    {
      await using store = await openStorage(server.url)
      await store.nodes.createMany(manyNodes(1_500, 'n'))
    }
    await killBackups(runner, SERVER_KILLS, await withOwnTables(server.url, 'n'))
    shows(`${SERVER_KILLS} backups of a server killed, none half finished`)
  })
})
