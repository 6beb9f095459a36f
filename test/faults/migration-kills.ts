/** Kills a migration in the middle of it, and says what is left: the state of before, of afterwards, or none of them. */
import { writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Program } from '../sqlite/support/program.ts'
import type { Script } from '../sqlite/support/script.ts'
import type { Place } from './migration-places.ts'
import type { Order } from './migration-runner.ts'
import { among, LEDGER, type State, unlike } from './migration-states.ts'
import { integerFrom, randomFrom } from './random.ts'

export interface Kind {
  readonly name: string
  make(): Promise<Place>
  /** The arguments of the program that is killed. */
  args(place: Place): string[]
  /** The arguments of programs that are run afterwards, one after the other: they must get to the end. */
  finish(place: Place): string[][]
  /** Lists what is wrong in the end, beside the state. */
  wrong(place: Place): Promise<string[]>
}

/** The result of a run that is not killed. */
export interface Reference {
  /** Before it, and after each of its COMMITs. */
  readonly states: readonly State[]
  /** The points at which it can be stopped while it holds the lock: numbers, by the step that it has just done. */
  readonly points: readonly (readonly number[])[]
  /** From its first BEGIN to its end. */
  readonly milliseconds: number
}

export interface Figures {
  /** Stopped at a point that was chosen, while the lock was seen to be held, and killed there. */
  stopped: number
  /** Killed at any moment between its first BEGIN and its end. */
  atRandom: number
  /** Not counted: it had come to its end. */
  late: number
  /** How often what state was found: after so many migrations. */
  readonly found: number[]
  /** The number of files left beside the database, in all. */
  partial: number
  copies: number
  readonly wrong: string[]
}

/** One process is always being started while another one runs. */
export class Runners implements AsyncDisposable {
  readonly #script: Script
  #next: Program

  constructor(script: Script) {
    this.#script = script
    this.#next = script.start()
  }

  async ready(): Promise<Program> {
    const program = this.#next
    this.#next = this.#script.start()
    await until(program, '@ready')
    return program
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#next.kill()
  }
}

/** The next line that begins so. The command's other output is passed over. */
async function until(program: Program, mark: string): Promise<string> {
  for (;;) {
    const line = await program.line()
    if (line.startsWith(mark)) return line
  }
}

const send = (program: Program, order: Order): void => program.send(order)

export async function referenceOf(kind: Kind, script: Script): Promise<Reference> {
  await using place = await kind.make()
  const states = [await place.state()]
  await using paused = script.start()
  const pause = place.file('go')
  send(paused, { args: kind.args(place), pause })
  for (;;) {
    const line = await until(paused, '@')
    if (line === '@paused') {
      states.push(await place.state())
      writeFileSync(`${pause}${states.length - 1}`, '')
    }
    if (!line.startsWith('@ended')) continue
    expect(line, paused.errors).toBe('@ended 0')
    break
  }
  return { states, points: await pointsOf(kind, script), milliseconds: await millisecondsOf(kind, script) }
}

async function pointsOf(kind: Kind, script: Script): Promise<number[][]> {
  await using place = await kind.make()
  await using program = script.start()
  send(program, { args: kind.args(place), trace: true })
  const points = new Map<string, number[]>()
  for (let line = ''; !line.startsWith('@ended'); line = await until(program, '@')) {
    const [mark, number, ...what] = line.split(' ')
    if (mark !== '@inside') continue
    const name = what.join(' ')
    points.set(name, [...(points.get(name) ?? []), Number(number)])
  }
  return [...points.values()]
}

async function millisecondsOf(kind: Kind, script: Script): Promise<number> {
  await using place = await kind.make()
  await using program = script.start()
  await until(program, '@ready')
  send(program, { args: kind.args(place) })
  await until(program, '@begun')
  const begun = performance.now()
  await until(program, '@ended')
  return performance.now() - begun
}

export interface Loop {
  readonly kind: Kind
  readonly reference: Reference
  /** The program to kill. */
  readonly runners: Runners
  /** Runs what is to be done afterwards. */
  readonly finisher: Program
  readonly kills: number
  readonly seed: number
}

export async function killInLoop(loop: Loop, until: (figures: Figures) => boolean = () => false): Promise<Figures> {
  const { kind, reference, kills, seed } = loop
  const figures: Figures = { stopped: 0, atRandom: 0, late: 0, found: [], partial: 0, copies: 0, wrong: [] }
  const random = randomFrom(seed)
  let span = reference.milliseconds
  for (let cycle = 0; figures.stopped + figures.atRandom < kills && !until(figures); cycle++) {
    if (cycle > 3 * kills) throw new Error(`It ends before it can be killed: ${JSON.stringify(figures)}`)
    await using place = await kind.make()
    await using program = await loop.runners.ready()
    // As many of one kind as of the other.
    const stop = figures.stopped <= figures.atRandom
    const killed = stop
      ? await killStopped(loop, program, place, random)
      : await killAtRandom(loop, program, place, random() * span)
    if (killed === undefined) {
      figures.late++
      span *= 0.8
      continue
    }
    figures[stop ? 'stopped' : 'atRandom']++
    await place.gone()
    await judge(loop, place, killed, figures)
  }
  const shown = { ...figures, wrong: figures.wrong.length, points: reference.points.length }
  console.log(`kill -9, ${kind.name}, SEED=${seed}: ${JSON.stringify(shown)}`)
  return figures
}

interface Killed {
  readonly where: string
  /** COMMITs that it had made, as far as it had said. */
  readonly committed: number
}

const oneOf = <T>(random: () => number, all: readonly T[]): T => all[integerFrom(random, 0, all.length - 1)] as T

async function killStopped(loop: Loop, program: Program, place: Place, random: () => number): Promise<Killed> {
  // One statement is as likely as any other, however often it is run.
  const stopAt = oneOf(random, oneOf(random, loop.reference.points))
  send(program, { args: loop.kind.args(place), stopAt })
  let committed = 0
  for (;;) {
    const line = await until(program, '@')
    if (line.startsWith('@committed')) committed++
    if (line.startsWith('@ended')) throw new Error(`It was to stop at ${stopAt}, and ended: ${line} ${program.errors}`)
    if (!line.startsWith('@inside')) continue
    expect(await place.held(), line).toBe(true)
    expect(await program.kill()).toEqual({ code: null, signal: 'SIGKILL' })
    return { where: line, committed }
  }
}

/** `undefined` if it was too late. */
async function killAtRandom(
  { kind }: Loop,
  program: Program,
  place: Place,
  after: number,
): Promise<Killed | undefined> {
  send(program, { args: kind.args(place) })
  await until(program, '@begun')
  await wait(after)
  const { signal } = await program.kill()
  const marks = program.rest()
  if (signal !== 'SIGKILL' || marks.some((mark) => mark.startsWith('@ended'))) return undefined
  const committed = marks.filter((mark) => mark.startsWith('@committed')).length
  return { where: `@random ${after.toFixed(1)} ms after BEGIN`, committed }
}

async function judge(loop: Loop, place: Place, { where, committed }: Killed, figures: Figures): Promise<void> {
  const { kind, reference, finisher } = loop
  const { states } = reference
  const wrong = (what: string): void => void figures.wrong.push(`${where}: ${what}`)
  const found = await place.state()
  const index = among(states, found)
  if (index === -1) wrong(`it is between: ${describe(found, states)}`)
  else figures.found[index] = (figures.found[index] ?? 0) + 1
  if (index !== -1 && index < committed) wrong(`${committed} were committed, ${index} are there`)
  const copies = place.copies()
  for (const copy of copies) if (among(states, copy) === -1) wrong(`a copy is ${describe(copy, states)}`)
  figures.partial += place.partial().length
  figures.copies += copies.length
  if (place.other().length > 0) wrong(`there are ${place.other()}`)
  if (index === -1) return

  const partial = place.partial()
  for (const args of kind.finish(place)) {
    send(finisher, { args })
    const line = await until(finisher, '@ended')
    if (line !== '@ended 0') wrong(`the next run: ${line} ${finisher.errors}`)
  }
  const last = states.length - 1
  if (among(states, await place.state()) !== last) wrong(`the next run: ${describe(await place.state(), states)}`)
  const more = place.partial().filter((name) => !partial.includes(name))
  if (more.length > 0) wrong(`the next run left ${more}`)
  for (const each of await kind.wrong(place)) wrong(`after the next run ${each}`)
}

/** In what it is unlike the state of as many migrations as its ledger has. */
function describe(found: State, states: readonly State[]): string {
  const expected = states.find((state) => state[LEDGER] === found[LEDGER]) ?? {}
  return `unlike ${found[LEDGER]} in ${unlike(found, expected).join(', ')}`
}
