/** Ends a process that writes, again and again, on the same file, and has each end judged by a model. */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'vitest'
import { verifyBackup } from '../../src/index.ts'
import type { Ended, Program } from '../sqlite/support/program.ts'
import type { Script } from '../sqlite/support/script.ts'
import { temporaryFolder } from '../support/folders.ts'
import { Model } from './judge.ts'
import { appliedIn, oldFile } from './old-file.ts'
import { integerFrom, randomFrom } from './random.ts'
import type { Orders } from './writer.ts'

export const LANES = 128
/** Then a new file is begun, so that the files stay small. */
const CYCLES_PER_FILE = 20
/** In so many cycles a second process is killed while it opens what the first one left. */
const KILL_OPENING_EVERY = 4
/** Each file is of the first version: so many processes are killed while they bring it up to date. */
const KILL_MIGRATING = 3

/** One process is always being started while another one runs. */
export class Writers implements AsyncDisposable {
  readonly #script: Script
  #next: Program | undefined

  constructor(script: Script) {
    this.#script = script
  }

  async ready(): Promise<Program> {
    const program = this.#next ?? this.#script.start()
    this.#next = this.#script.start()
    expect(await program.line(), program.errors).toBe('ready')
    return program
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#next?.kill()
  }
}

/** A process's messages up to its end. */
export interface Told extends Ended {
  /** The number of acknowledged writes, by lane. */
  readonly acknowledged: readonly number[]
  readonly counted: number
  /** More were begun than acknowledged. */
  readonly inFlight: boolean
  /** Backups and sweeps that were finished. */
  readonly backups: readonly string[]
  readonly swept: number
}

/** Lets it write until at least so many writes were acknowledged, then has it ended. */
export async function writeUntil(
  program: Program,
  orders: Orders,
  enough: number,
  end: (program: Program) => Promise<Ended>,
): Promise<Told> {
  const acknowledged = [...orders.positions]
  const backups: string[] = []
  let [begun, counted, swept] = [0, 0, 0]
  const hear = (line: string): void => {
    const [what = '', ...rest] = line.split(' ')
    if (what === 'backup') backups.push(rest.join(' '))
    else if (what === 'swept') swept += Number(rest[0])
    else {
      begun = Number(what)
      for (const entry of rest) {
        const [lane = -1, position = -1] = entry.split(':').map(Number)
        counted += position - (acknowledged[lane] ?? 0)
        acknowledged[lane] = position
      }
    }
  }
  program.send(orders)
  expect(await program.line(), program.errors).toBe('opening')
  expect(await program.line(), program.errors).toBe('open')
  while (counted < enough) hear(await program.line())
  const ended = await end(program)
  for (const line of program.rest()) hear(line)
  return { ...ended, acknowledged, counted, inFlight: begun > counted, backups, swept }
}

export interface Figures {
  cycles: number
  /** Processes that ended by SIGKILL, and those of them that had writes in flight as far as they had said. */
  killed: number
  inFlight: number
  killedOpening: number
  /** Killed before the file was of this version. */
  killedMigrating: number
  acknowledged: number
  unacknowledged: number
  /** Finished while others wrote, and the backups that were not. */
  backups: number
  partialBackups: number
  swept: number
  lost: number
  wrong: string[]
}

export const newFigures = (): Figures => ({
  cycles: 0,
  killed: 0,
  inFlight: 0,
  killedOpening: 0,
  killedMigrating: 0,
  acknowledged: 0,
  unacknowledged: 0,
  backups: 0,
  partialBackups: 0,
  swept: 0,
  lost: 0,
  wrong: [],
})

async function killOpening(program: Program, path: string, random: () => number): Promise<boolean> {
  program.send({ path, seed: 0, positions: [] } satisfies Orders)
  expect(await program.line(), program.errors).toBe('opening')
  await wait(random() * 15)
  return (await program.kill()).signal === 'SIGKILL'
}

interface Loop {
  readonly cycles: number
  readonly seed: number
  readonly writers: Writers
  /** Ends the loop early. */
  readonly until: (figures: Figures) => boolean
  /** Before each process is killed, while it writes. */
  readonly beside?: (path: string) => Promise<void>
}

export async function killInLoop({ cycles, seed, writers, until, beside }: Loop): Promise<Figures> {
  const figures = newFigures()
  const random = randomFrom(seed)
  while (figures.cycles < cycles && !until(figures)) {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const backups = folder.file('backups')
    const latest = oldFile(path)
    for (let kill = 0; kill < KILL_MIGRATING; kill++) {
      if (!(await killOpening(await writers.ready(), path, random))) continue
      if (appliedIn(path) < latest) figures.killedMigrating++
    }
    const model = new Model(seed + figures.cycles, LANES)
    for (let cycle = 1; cycle <= CYCLES_PER_FILE && figures.cycles < cycles && !until(figures); cycle++) {
      const orders: Orders = { path, seed: model.seed, positions: model.positions, backups }
      const told = await writeUntil(await writers.ready(), orders, integerFrom(random, 200, 1_200), async (program) => {
        await beside?.(path)
        await wait(random() * 5)
        return program.kill()
      })
      if (told.signal === 'SIGKILL') figures.killed++
      if (told.inFlight) figures.inFlight++
      figures.acknowledged += told.counted
      figures.swept += told.swept
      if (cycle % KILL_OPENING_EVERY === 0 && (await killOpening(await writers.ready(), path, random)))
        figures.killedOpening++
      // Before the model goes on: a backup is of a moment between the two.
      await judgeBackups(model, backups, told, figures)
      const { lost, unacknowledged, wrong } = await model.judge(path, told.acknowledged)
      figures.cycles++
      figures.lost += lost
      figures.unacknowledged += unacknowledged
      figures.wrong.push(...wrong)
    }
  }
  console.log(`kill -9, SEED=${seed}: ${JSON.stringify({ ...figures, wrong: figures.wrong.length })}`)
  return figures
}

/** Each that was finished is whole and of one moment; what is left of another one is never taken for a backup. */
export async function judgeBackups(model: Model, folder: string, told: Told, figures: Figures): Promise<void> {
  for (const name of told.backups) {
    const file = join(folder, name)
    await verifyBackup(file)
    figures.wrong.push(...(await model.explain(file, told.acknowledged)).map((wrong) => `${name}: ${wrong}`))
    figures.backups++
  }
  if (!existsSync(folder)) return
  figures.partialBackups += readdirSync(folder).filter((name) => name.includes('.partial-')).length
  rmSync(folder, { recursive: true })
}

/** The whole loop, and what must be so after it. */
export async function survives(script: Script, { cycles, seed }: Pick<Loop, 'cycles' | 'seed'>): Promise<Figures> {
  await using writers = new Writers(script)
  const figures = await killInLoop({ cycles, seed, writers, until: ({ wrong }) => wrong.length > 0 })
  expect(figures.wrong).toEqual([])
  expect(figures.lost).toBe(0)
  expect(figures.cycles).toBe(cycles)
  expect(figures.killed).toBe(cycles)
  expect(figures.inFlight).toBe(cycles)
  expect(figures.killedOpening).toBeGreaterThan(0)
  expect(figures.acknowledged).toBeGreaterThan(cycles * 200)
  expect(figures.swept).toBeGreaterThan(0)
  return figures
}
