/** Kills a program at points that it was seen to stop at, and at moments that are left to chance. */
import { setTimeout as wait } from 'node:timers/promises'
import { integerFrom, randomFrom } from '../../faults/random.ts'
import type { Program } from '../../sqlite/support/program.ts'
import type { Script } from '../../sqlite/support/script.ts'
import type { Order, Stage } from '../programs/restorer.ts'

/** The next line that begins so. */
export async function until(program: Program, ...marks: string[]): Promise<string> {
  for (;;) {
    const line = await program.line()
    if (line.startsWith('@failed')) throw new Error(line)
    if (marks.some((mark) => line.startsWith(mark))) return line
  }
}

/** Runs it to its end. Returns the stage that each point is in, and how long it took. */
export async function reference(program: Program, order: Order): Promise<{ stages: Stage[]; milliseconds: number }> {
  program.send(order)
  await until(program, '@begun')
  const begun = performance.now()
  const line = await until(program, '@ended')
  return { stages: JSON.parse(line.slice('@ended '.length)), milliseconds: performance.now() - begun }
}

interface Loop {
  readonly script: Script
  readonly kills: number
  readonly seed: number
  readonly stages: readonly Stage[]
  readonly milliseconds: number
  /** A fresh place, and what is to be done there. */
  readonly prepare: (cycle: number) => Order
  /** Looks at what is left. */
  readonly judge: (order: Order, where: string) => Promise<void>
  readonly enough?: () => boolean
}

export interface Figures {
  /** Killed where it stood, by stage. */
  readonly stopped: Record<string, number>
  /** Killed at any moment. */
  atRandom: number
  /** It had come to its end; judged all the same, and not counted. */
  late: number
}

/** The first of each stage's points, its last, and any in between, in turn. */
function pointIn(stages: readonly Stage[], turn: number, random: () => number): number {
  const kinds = [...new Set(stages)]
  const kind = kinds[turn % kinds.length]
  const points = stages.flatMap((stage, index) => (stage === kind ? [index + 1] : []))
  const round = Math.floor(turn / kinds.length) % 3
  const index = round === 0 ? 0 : round === 1 ? points.length - 1 : integerFrom(random, 0, points.length - 1)
  return points[index] ?? 1
}

export async function killInLoop(loop: Loop): Promise<Figures> {
  const random = randomFrom(loop.seed)
  const figures: Figures = { stopped: {}, atRandom: 0, late: 0 }
  let upcoming = loop.script.start()
  let span = loop.milliseconds
  let stops = 0
  try {
    for (let cycle = 0; stops + figures.atRandom < loop.kills && loop.enough?.() !== true; cycle++) {
      if (cycle > 3 * loop.kills + 10) throw new Error(`It ends before it can be killed: ${JSON.stringify(figures)}`)
      const program = upcoming
      upcoming = loop.script.start()
      await until(program, '@ready')
      const order = loop.prepare(cycle)
      // Two of three stand still when they are killed.
      const stopAt = cycle % 3 === 2 ? undefined : pointIn(loop.stages, stops, random)
      program.send(stopAt === undefined ? order : { ...order, stopAt })
      await until(program, '@begun')
      let where = 'at random'
      if (stopAt === undefined) await wait(random() * span)
      else where = await until(program, '@inside', '@ended')
      if (where.startsWith('@ended')) throw new Error(`It was to stop at ${stopAt}, and ended.`)
      await program.kill()
      const ended = program.rest().some((line) => line.startsWith('@ended'))
      if (stopAt !== undefined) {
        stops++
        const [stage = ''] = where.slice('@inside '.length).split(':')
        figures.stopped[stage] = (figures.stopped[stage] ?? 0) + 1
      } else if (ended) {
        figures.late++
        span *= 0.8
      } else figures.atRandom++
      await loop.judge(order, where)
    }
  } finally {
    await upcoming.kill()
  }
  return figures
}
