/**
 * `kill -9` while many writes are in flight, again and again, on the same file. Whatever was acknowledged must be there,
 * what was in flight must be there or not, as a whole. `KILL_CYCLES=200` for the long form, `KILL_SEED` for other writes.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import type { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { temporaryFolder } from '../support/folders.ts'
import { acknowledgeEarly, planted } from './acknowledge-early.ts'
import { Model } from './judge.ts'
import { SHARED } from './lane.ts'
import { integerFrom, randomFrom } from './random.ts'
import type { Orders } from './writer.ts'

const CYCLES = Number(process.env.KILL_CYCLES ?? 20)
const SEED = Number(process.env.KILL_SEED ?? 1)
const WRITER = new URL('writer.ts', import.meta.url)
const writer = await Script.bundle(WRITER)
const hastyWriter = await Script.bundle(WRITER, acknowledgeEarly)
const LANES = 128
/** Then a new file is begun, so that the files stay small. */
const CYCLES_PER_FILE = 20
/** In so many cycles a second process is killed while it opens what the first one left. */
const KILL_OPENING_EVERY = 4

interface Figures {
  cycles: number
  /** Processes that ended by SIGKILL, and those of them that had writes in flight as far as they had said. */
  killed: number
  inFlight: number
  killedOpening: number
  acknowledged: number
  unacknowledged: number
  lost: number
  wrong: string[]
}

/** One process is always being started while another one runs. */
class Writers implements AsyncDisposable {
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

/** Lets it write until at least so many writes were acknowledged, then kills it a moment later. */
async function killWriting(program: Program, model: Model, path: string, random: () => number, figures: Figures) {
  const acknowledged = [...model.positions]
  let begun = 0
  const count = (line: string): number => {
    const [total, ...moved] = line.split(' ')
    begun = Number(total)
    let more = 0
    for (const entry of moved) {
      const [lane = -1, position = -1] = entry.split(':').map(Number)
      more += position - (acknowledged[lane] ?? 0)
      acknowledged[lane] = position
    }
    return more
  }
  program.send({ path, seed: model.seed, positions: model.positions } satisfies Orders)
  expect(await program.line(), program.errors).toBe('opening')
  expect(await program.line(), program.errors).toBe('open')
  const enough = integerFrom(random, 200, 1_200)
  let counted = 0
  while (counted < enough) counted += count(await program.line())
  await wait(random() * 5)
  const { signal } = await program.kill()
  for (const line of program.rest()) counted += count(line)
  if (signal === 'SIGKILL') figures.killed++
  if (begun > counted) figures.inFlight++
  figures.acknowledged += counted
  return acknowledged
}

async function killOpening(program: Program, path: string, random: () => number, figures: Figures): Promise<void> {
  program.send({ path, seed: 0, positions: [] } satisfies Orders)
  expect(await program.line(), program.errors).toBe('opening')
  await wait(random() * 15)
  const { signal } = await program.kill()
  if (signal === 'SIGKILL') figures.killedOpening++
}

async function killInLoop(cycles: number, writers: Writers, until: (figures: Figures) => boolean): Promise<Figures> {
  const figures: Figures = {
    cycles: 0,
    killed: 0,
    inFlight: 0,
    killedOpening: 0,
    acknowledged: 0,
    unacknowledged: 0,
    lost: 0,
    wrong: [],
  }
  const random = randomFrom(SEED)
  while (figures.cycles < cycles && !until(figures)) {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    // Killed while it makes the file, too.
    await killOpening(await writers.ready(), path, random, figures)
    const store = await openStorage(path)
    await store.nodes.create({ nodeId: SHARED, interfaces: [], protocols: [] })
    await store.close()
    const model = new Model(SEED + figures.cycles, LANES)
    for (let cycle = 1; cycle <= CYCLES_PER_FILE && figures.cycles < cycles && !until(figures); cycle++) {
      const acknowledged = await killWriting(await writers.ready(), model, path, random, figures)
      if (cycle % KILL_OPENING_EVERY === 0) await killOpening(await writers.ready(), path, random, figures)
      const { lost, unacknowledged, wrong } = await model.judge(path, acknowledged)
      figures.cycles++
      figures.lost += lost
      figures.unacknowledged += unacknowledged
      figures.wrong.push(...wrong)
    }
  }
  console.log(`kill -9, seed ${SEED}: ${JSON.stringify({ ...figures, wrong: figures.wrong.length })}`)
  return figures
}

test('whatever was acknowledged survives kill -9, and nothing is there by half', { timeout: 600_000 }, async () => {
  await using writers = new Writers(writer)
  const figures = await killInLoop(CYCLES, writers, ({ wrong }) => wrong.length > 0)
  expect(figures.wrong).toEqual([])
  expect(figures.lost).toBe(0)
  expect(figures.cycles).toBe(CYCLES)
  expect(figures.killed).toBe(CYCLES)
  expect(figures.inFlight).toBe(CYCLES)
  expect(figures.killedOpening).toBeGreaterThan(CYCLES / KILL_OPENING_EVERY)
  expect(figures.acknowledged).toBeGreaterThan(CYCLES >= 200 ? 100_000 : CYCLES * 100)
})

test('the same test finds a queue that acknowledges before it commits', { timeout: 60_000 }, async () => {
  await using writers = new Writers(hastyWriter)
  expect(planted.count).toBe(1)
  const figures = await killInLoop(20, writers, ({ lost }) => lost > 0)
  expect(figures.killed).toBe(figures.cycles)
  expect(figures.lost).toBeGreaterThan(0)
})
