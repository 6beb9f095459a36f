/** The demo from beginning to end. */
import { copyFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Disk, diskOf, syncTimes } from '../../bench/disk.ts'
import { type Machine, machine, machineLines } from '../../bench/machine.ts'
import type { Durability } from '../../bench/raw-store.ts'
import { openStorage } from '../../src/index.ts'
import { type BackupCheck, backUpAndRestore, sameRows } from './copies.ts'
import { type Crash, crash } from './crash.ts'
import { type Extent, measure, type Timing } from './measure.ts'
import { type Loaded, type LoadOptions, load } from './mesh.ts'
import type { Places } from './places.ts'
import type { Progress } from './progress.ts'
import { backupLine, crashLines, diskLines, timingTable } from './report.ts'
import type { Topology } from './topology.ts'

export interface DemoOptions extends LoadOptions {
  readonly calls: Extent
  /** How many acknowledgements a process gets before it is killed, for each process. */
  readonly kills: readonly number[]
}

export const extentOf = (quick: boolean): Pick<DemoOptions, 'calls' | 'kills'> =>
  quick
    ? { calls: { reads: 500, writes: 30, warmUp: 200 }, kills: [100] }
    : { calls: { reads: 5_000, writes: 300, warmUp: 1_000 }, kills: [100, 500, 1_500] }

export interface DemoReport {
  readonly file: string
  readonly bytes: number
  readonly machine: Machine
  readonly disk: Disk
  readonly loaded: Loaded
  readonly backup: BackupCheck
  readonly timings: Readonly<Record<Durability, readonly Timing[]>>
  readonly crashes: readonly Crash[]
  /** Closed, opened again, and compared with the backup row by row. */
  readonly sameAfterReopening: boolean
  /** Results that must not be. None of them is a matter of time. */
  readonly failures: readonly string[]
}

export async function runDemo(
  topologies: readonly Topology[],
  options: DemoOptions,
  places: Places,
  progress: Progress,
): Promise<DemoReport> {
  const { file, scratch } = places
  const copy = (name: string): string => join(scratch, name)

  const on = machine()
  progress.done(`${machineLines(on)}\n\nStored in ${file}`)
  const store = await openStorage(file)
  const backupFile = copy('backup.db')
  let loaded: Loaded
  let backup: BackupCheck
  try {
    loaded = await load(store, topologies, options, progress)
    progress.begin('backing up and restoring', 1)
    backup = await backUpAndRestore(store, { backup: backupFile, restored: copy('restored.db') })
  } finally {
    await store.close()
  }
  progress.done(`\n${backupLine(backup)}`)

  const { timings, disk } = await measureBoth(backupFile, options.calls, progress)
  progress.done(`\n${timingTable(timings, loaded)}\n${diskLines(disk)}`)

  const crashed = copy('crashed.db')
  copyFileSync(backupFile, crashed)
  const crashes: Crash[] = []
  progress.begin('killing a process in the middle of its writes', options.kills.length)
  for (const acknowledgements of options.kills) {
    crashes.push(await crash(crashed, acknowledgements))
    progress.advance()
  }
  progress.done(`\n${crashLines(crashes)}`)

  const sameAfterReopening = await isSameAfterReopening(file, backupFile)
  const found = { backup, crashes, sameAfterReopening }
  return { machine: on, file, bytes: statSync(file).size, disk, loaded, timings, ...found, failures: failuresOf(found) }
}

/** The file is used by nobody else meanwhile. */
async function isSameAfterReopening(file: string, backup: string): Promise<boolean> {
  await (await openStorage(file)).close()
  return sameRows(file, backup)
}

const OPERATIONS = 18
/** For the disk, and the files that are new to it. */
const LITTLE_WARM_UP = 50
const SYNCS_AFTER_EACH = { samples: 10, budgetMs: 50 }

/** Each side works on a copy of its own, in the same folder; the database itself stays as it is. */
async function measureBoth(backup: string, calls: Extent, progress: Progress) {
  const folder = dirname(backup)
  progress.begin('measuring every operation', 2 * OPERATIONS)
  const of = async (durability: Durability, warmUp: number, afterEach: () => void): Promise<Timing[]> => {
    const files = { store: join(folder, `store-${durability}.db`), raw: join(folder, `raw-${durability}.db`) }
    for (const file of Object.values(files)) copyFileSync(backup, file)
    return measure(files, durability, { ...calls, warmUp }, () => {
      progress.advance()
      afterEach()
    })
  }
  // First, and with more calls to warm up: they do not wait for the disk here.
  const normal = await of('normal', calls.warmUp, () => {})
  // In between, since the speed of a disk that others use changes.
  const syncs: number[] = []
  const full = await of('full', LITTLE_WARM_UP, () => syncs.push(...syncTimes(folder, SYNCS_AFTER_EACH)))
  return { timings: { full, normal }, disk: diskOf(folder, syncs) }
}

function failuresOf({
  backup,
  crashes,
  sameAfterReopening,
}: Pick<DemoReport, 'backup' | 'crashes' | 'sameAfterReopening'>): string[] {
  const failures: string[] = []
  if (!backup.hashesEqual || !backup.rowsEqual) failures.push('What was restored differs from the backup.')
  if (!sameAfterReopening) failures.push('The database differs from its backup after it was opened again.')
  for (const { acknowledged, found, torn, integrity } of crashes) {
    if (found < acknowledged) failures.push(`${acknowledged - found} acknowledged writes are lost.`)
    if (torn > 0) failures.push(`${torn} transactions are there in part.`)
    if (integrity !== 'ok') failures.push(`integrity_check says: ${integrity}`)
  }
  return failures
}
