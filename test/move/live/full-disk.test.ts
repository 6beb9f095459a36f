/** A move while the file's disk is full, or the server's: it ends with STORAGE_FULL, the file serves on, and the next one goes on. */
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { expect, test, vi } from 'vitest'
import { type Meshstore, type MoveProgress, openStorage, StorageError } from '../../../src/index.ts'
import { documentOf } from '../../cli/support/command.ts'
import { type Mistake, mistaken } from '../../faults/mistaken.ts'
import { FaultyProxy } from '../../postgres/support/proxy.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { ofMany } from '../../support/bounds.ts'
import { expectCode } from '../../support/expectations.ts'
import { startPostgres } from '../../support/postgres-server.ts'
import { manyNodes } from '../../support/samples.ts'
import { type Small, small } from '../../support/small-disk.ts'
import { type Ground, type Judged, judged, type Place, place } from './support/arena.ts'
import { Commands } from './support/commands.ts'
import { expectAsBefore } from './support/file.ts'
import { Load } from './support/load.ts'
import { IN_THE_SWITCH, PATIENT } from './support/moving.ts'

// Whatever takes longer hangs.
vi.setConfig({ testTimeout: 600_000 })

const ROOM = 48 * 1024 * 1024
const PAGE = 4_096
/** In pages. */
const ROOMS = [0, 1, 2, 3, 4, 6, 8, 10, 12, 100]
const NOBODY = 65_534

/** A store under load, on a file that moves through a proxy. */
interface Stage {
  readonly disk: Small
  readonly where: Place
  readonly store: Meshstore
  readonly load: Load
  readonly proxy: FaultyProxy
}

/** `mistake`: of the store that the callers write to. */
async function onStage(disk: Small, ground: Ground, work: (stage: Stage) => Promise<void>, mistake?: Mistake) {
  await using where = await place(ground)
  await using proxy = await FaultyProxy.before(where.database.url)
  await using store = await openStorage(where.path)
  const load = new Load(mistake === undefined ? store : mistaken(store, mistake), 'here', 1)
  load.start(300)
  try {
    await work({ disk, where, store, load, proxy })
  } finally {
    await load.stop()
  }
}

/** The file is on a small disk. */
async function onDisk(work: (stage: Stage) => Promise<void>, mistake?: Mistake): Promise<void> {
  using disk = small()
  if (disk === undefined) return
  const pinned = async (stage: Stage): Promise<void> => {
    await answered(stage.load, 20)
    // As long as somebody reads what was there, the log only grows: what is written takes room.
    const reader = new Sqlite(stage.where.path, { readonly: true })
    reader.exec('BEGIN; SELECT count(*) FROM nodes')
    try {
      await work(stage)
    } finally {
      reader.close()
    }
  }
  await onStage(disk, { folder: disk.folder }, pinned, mistake)
}

const turn = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 2))

/** Until so many more writes were answered. */
async function answered({ journal }: Load, count: number): Promise<void> {
  const enough = journal.writes + count
  while (journal.writes < enough) await turn()
}

/** Until so many more were refused. */
async function refused({ journal }: Load, count: number): Promise<void> {
  const enough = journal.rejected.length + count
  while (journal.rejected.length < enough) await turn()
}

/** Moves, and stands still at a message to the target that holds the text. */
async function heldAt(text: string, { store, proxy }: Stage) {
  const held = proxy.hold(text)
  const moved = store.moveTo(proxy.url, PATIENT)
  moved.catch(() => {})
  await Promise.race([held.reached, moved])
  return { ...held, moved }
}

/** Compares what callers were told with what is there. */
async function verdictOn({ where, load }: Stage): Promise<Judged> {
  const verdict = await judged(where, [await load.stop()])
  // That there is no room is all that anybody was told.
  return { ...verdict, rejected: verdict.rejected.filter((each) => !/: STORAGE_FULL /.test(each)) }
}

async function isSound(stage: Stage): Promise<void> {
  expect(stage.store.dialect).toBe('postgresql')
  await answered(stage.load, 50)
  const { hashes, ...verdict } = await verdictOn(stage)
  expect(verdict).toEqual({ lost: [], duplicated: [], rejected: [], stale: [] })
  expect(hashes.target).toBe(hashes.file)
}

/** There is room again. */
async function goesOn(stage: Stage): Promise<void> {
  const { store, load, proxy } = stage
  expect(store.dialect).toBe('sqlite')
  await answered(load, 50)
  const { length } = load.journal.rejected
  await store.moveTo(proxy.url, PATIENT)
  await isSound(stage)
  expect(load.journal.rejected).toHaveLength(length)
}

/** While it copies: what was written is in the log as well, as long as there is room. */
async function fullWhileCopying(stage: Stage): Promise<void> {
  const { disk, load } = stage
  const held = await heldAt('UPDATE meshstore_state', stage)
  disk.leave(30 * PAGE)
  await refused(load, 20)
  disk.leave(0)
  held.open()
  await expectCode(held.moved, 'STORAGE_FULL')
}

describePostgres("while the file's disk is full, a move", () => {
  test('does not begin', () =>
    onDisk(async (stage) => {
      const { disk, where, store, load, proxy } = stage
      disk.leave(0)
      await refused(load, 20)
      await expectCode(store.moveTo(proxy.url), 'STORAGE_FULL')
      const commands = new Commands(where.path, proxy.url)
      expect(documentOf(await commands.run('--yes')).error).toMatchObject({ code: 'STORAGE_FULL' })
      expect(await commands.state()).toBe('none')
      expectAsBefore(where.path)
      disk.leave(ROOM)
      await goesOn(stage)
    }))

  test('that copies, and follows what is written, ends', () =>
    onDisk(async (stage) => {
      await fullWhileCopying(stage)
      await refused(stage.load, 20)
      stage.disk.leave(ROOM)
      await goesOn(stage)
    }))

  test.each(ofMany(ROOMS, [0, 4, 100]))('in the switch, with room for %i pages, is made or is not', (pages) =>
    onDisk(async (stage) => {
      const { disk, where } = stage
      const held = await heldAt(IN_THE_SWITCH, stage)
      disk.leave(pages * PAGE)
      held.open()
      const code = await held.moved.then(
        () => 'done',
        (error) => error.code,
      )
      expect(code).toBeOneOf(pages < 2 ? ['STORAGE_FULL'] : pages > 50 ? ['done'] : ['STORAGE_FULL', 'done'])
      if (code === 'done') {
        await isSound(stage)
        return
      }
      // The target has all of it, and is a copy that is behind from now on.
      await expectCode(openStorage(where.database.url), 'CONFIG')
      disk.leave(ROOM)
      await goesOn(stage)
    }),
  )

  test.each(['and then given up', 'and then gone on with'])('is not given up by halves, %s', (then) =>
    onDisk(async (stage) => {
      const { disk, where, load, proxy } = stage
      const held = await heldAt(IN_THE_SWITCH, stage)
      disk.leave(0)
      held.open()
      await expectCode(held.moved, 'STORAGE_FULL')
      await refused(load, 20)
      const commands = new Commands(where.path, proxy.url)
      expect(documentOf(await commands.run('--resume', '--yes')).error).toMatchObject({ code: 'STORAGE_FULL' })
      // The target is emptied; the file cannot say so.
      expect(documentOf(await commands.run('--abort')).error).toMatchObject({ code: 'STORAGE_FULL' })
      expect(await commands.state()).toBe('under way')
      disk.leave(ROOM)
      if (then === 'and then given up') {
        expect((await commands.run('--abort')).code).toBe(0)
        expectAsBefore(where.path)
      }
      // The judge would take the command that emptied the target for another program.
      await where.database.query('DELETE FROM noted')
      await goesOn(stage)
    }),
  )

  test('would be found to lose something: callers who were not told that there is no room', () => {
    const keepsQuiet: Mistake = (call) =>
      call().catch((error) => {
        if (!(error instanceof StorageError) || error.code !== 'STORAGE_FULL') throw error
      })
    return onDisk(async (stage) => {
      const { disk, store, proxy } = stage
      const held = await heldAt('UPDATE meshstore_state', stage)
      disk.leave(0)
      await answered(stage.load, 50)
      disk.leave(ROOM)
      held.open()
      await held.moved.catch(() => store.moveTo(proxy.url, PATIENT))
      expect((await verdictOn(stage)).lost).not.toEqual([])
    }, keepsQuiet)
  })
})

/** The target's tables are on a small disk; the server's log is not, or it would stop by itself. */
async function onServersDisk(work: (stage: Stage) => Promise<void>): Promise<void> {
  using disk = small()
  if (disk === undefined) return
  const location = disk.folder.file('tables')
  mkdirSync(location)
  chmodSync(disk.folder.path, 0o755)
  chownSync(location, NOBODY, NOBODY)
  const server = await startPostgres()
  try {
    await onStage(disk, { server: server.url('postgres'), tablespace: { name: 'small', location } }, work)
  } finally {
    await server.stop()
  }
}

/** 5 MB, in rows that no caller writes. */
function enlarge({ store }: Stage): Promise<unknown> {
  const interfaces = Array.from({ length: 50 }, (_, index) => `interface-${index}-of-a-node-with-many-of-them`)
  return store.nodes.saveMany(manyNodes(2_000, 'before').map((each) => ({ ...each, interfaces })))
}

describePostgres("while the server's disk is full, a move", () => {
  test('that copies ends, and nobody who writes to the file hears of it', () =>
    onServersDisk(async (stage) => {
      const { disk, store, load, proxy } = stage
      await enlarge(stage)
      disk.leave(100_000)
      await expectCode(store.moveTo(proxy.url, PATIENT), 'STORAGE_FULL')
      await answered(load, 20)
      disk.leave(ROOM)
      await goesOn(stage)
      expect(load.journal.rejected).toEqual([])
    }))

  test('that follows ends, and nobody who writes to the file hears of it', () =>
    onServersDisk(async (stage) => {
      const { disk, store, load, proxy } = stage
      let enlarged: Promise<unknown> | undefined
      const onProgress = ({ step }: MoveProgress): void => {
        if (step !== 'verifying' || enlarged !== undefined) return
        enlarged = enlarge(stage)
        disk.leave(100_000)
      }
      await expectCode(store.moveTo(proxy.url, { ...PATIENT, onProgress }), 'STORAGE_FULL')
      await enlarged
      await answered(load, 20)
      disk.leave(ROOM)
      await goesOn(stage)
      expect(load.journal.rejected).toEqual([])
    }))
})
