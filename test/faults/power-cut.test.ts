/**
 * The power is cut under a writer, again and again: what was acknowledged is there when it is back, and so is each backup that
 * was finished. With `durability: 'normal'` something is lost, or this would prove nothing.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import type { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { bound, SEED } from '../support/bounds.ts'
import { Model } from './judge.ts'
import { type Figures, judgeBackups, LANES, newFigures, Writers, writeUntil } from './kill-loop.ts'
import { SHARED } from './lane.ts'
import { integerFrom, randomFrom } from './random.ts'
import { notTested, shows } from './shown.ts'
import { emptyLogUnsynced } from './unsynced.ts'
import { FILE_SYSTEMS, type FileSystem, volume, whyNone } from './volumes.ts'
import type { Orders } from './writer.ts'

const CYCLES = bound('POWER_CUTS', { short: 25, long: 250 })
const TIMEOUT = { timeout: 600_000 + CYCLES * 20_000 }
/** The first of them is judged with a file that was made a moment ago. */
const CYCLES_PER_FILE = 5

const script = await Script.bundle(new URL('writer.ts', import.meta.url))

/** Only what stands still can be cut off: a call that is under way would be finished. */
async function stopped(program: Program): Promise<void> {
  process.kill(program.pid, 'SIGSTOP')
  const threads = `/proc/${program.pid}/task`
  const running = (): boolean =>
    readdirSync(threads).some((id) => !/\) [tTZ] /.test(readFileSync(join(threads, id, 'stat'), 'utf8')))
  while (running()) await new Promise((resolve) => setImmediate(resolve))
}

interface Loop {
  readonly durability?: NonNullable<Orders['durability']>
  readonly until?: (figures: Figures) => boolean
  /** Before each cut, while the process writes. */
  readonly beside?: (path: string) => Promise<void>
}

async function cutInLoop(fileSystem: FileSystem, { durability = 'full', until = () => false, beside }: Loop) {
  const figures = newFigures()
  const random = randomFrom(SEED)
  await using writers = new Writers(script)
  using disk = volume(fileSystem)
  for (let file = 0; figures.cycles < CYCLES && !until(figures); file++) {
    const folder = join(disk.path, `${file}`)
    const [path, backups] = [join(folder, 'mesh.db'), join(folder, 'backups')]
    mkdirSync(folder)
    {
      await using store = await openStorage(path)
      await store.nodes.create({ nodeId: SHARED, interfaces: [], protocols: [] })
    }
    const model = new Model(SEED + file, LANES)
    for (let cycle = 0; cycle < CYCLES_PER_FILE && figures.cycles < CYCLES && !until(figures); cycle++) {
      const orders: Orders = { path, seed: model.seed, positions: model.positions, durability, backups }
      const told = await writeUntil(await writers.ready(), orders, integerFrom(random, 200, 1_200), async (program) => {
        await beside?.(path)
        await stopped(program)
        disk.cut()
        return program.kill()
      })
      disk.remount()
      figures.cycles++
      if (told.inFlight) figures.inFlight++
      figures.acknowledged += told.counted
      figures.swept += told.swept
      await judgeBackups(model, backups, told, figures)
      const { lost, unacknowledged, wrong } = await model
        .judge(path, told.acknowledged)
        .catch((error: unknown) => ({ lost: 0, unacknowledged: 0, wrong: [`it cannot be read: ${error}`] }))
      figures.lost += lost
      figures.unacknowledged += unacknowledged
      figures.wrong.push(...wrong)
    }
    rmSync(folder, { recursive: true })
  }
  const shown = JSON.stringify({ ...figures, wrong: figures.wrong.length })
  console.log(`power cuts, ${fileSystem}, ${durability}, SEED=${SEED}: ${shown}`)
  return figures
}

describe.each(FILE_SYSTEMS)('the power is cut, on %s', (fileSystem) => {
  const none = whyNone(fileSystem)
  if (none !== undefined) notTested(`power cuts on ${fileSystem}`, none)

  test.skipIf(none !== undefined)('nothing that was acknowledged is lost', TIMEOUT, async () => {
    const { wrong, ...figures } = await cutInLoop(fileSystem, {})
    expect(wrong).toEqual([])
    expect(figures.lost).toBe(0)
    expect(figures.cycles).toBe(CYCLES)
    expect(figures.acknowledged).toBeGreaterThan(CYCLES * 200)
    expect(figures.inFlight).toBeGreaterThan(0)
    expect(figures.backups).toBeGreaterThan(0)
    shows(`${CYCLES} power cuts on ${fileSystem}, ${figures.acknowledged} acknowledged, ${figures.lost} lost`)
  })

  test.skipIf(none !== undefined)("with durability: 'normal' something is lost", TIMEOUT, async () => {
    const { lost, cycles, wrong } = await cutInLoop(fileSystem, {
      durability: 'normal',
      until: ({ lost }) => lost > 0,
    })
    expect(lost).toBeGreaterThan(0)
    // The last moments, as promised, and nothing else.
    expect(wrong).toEqual([])
    shows(`with 'normal', ${lost} lost in ${cycles} on ${fileSystem}`)
  })

  test.skipIf(none !== undefined)('beside a program that syncs nothing, something is lost', TIMEOUT, async () => {
    const { lost, wrong } = await cutInLoop(fileSystem, {
      beside: emptyLogUnsynced,
      until: (figures) => figures.lost + figures.wrong.length > 0,
    })
    expect(lost + wrong.length).toBeGreaterThan(0)
  })
})
