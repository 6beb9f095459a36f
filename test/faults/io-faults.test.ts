/**
 * Each call that writes, syncs, truncates, links, renames or removes fails once, or from then on, or is the last one before
 * the process is killed: of writing, checkpointing and closing, of making a file, migrating, backing up and restoring.
 */
import { cpSync, rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Script } from '../sqlite/support/script.ts'
import { bound, FORM } from '../support/bounds.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { acknowledgeEarly, planted } from './acknowledge-early.ts'
import { acknowledgeRefused, planted as plantedAnswers } from './answer-failed-commits.ts'
import { type Fault, hasStrace, type Point, pointsOf, runWith } from './io-calls.ts'
import { databaseIn, type Scenario, saidBy, scenarios } from './io-scenarios.ts'
import { notTested, shows } from './shown.ts'

/** Tries every n-th of the points at which a call fails, and at which the process is killed. */
const FAIL_EVERY = bound('IO_FAIL_EVERY', { short: 3, long: 1 })
const KILL_EVERY = bound('IO_KILL_EVERY', { short: 12, long: 1 })
const LEAST_KILLED = FORM === 'long' ? 1_000 : 100
const LEAST_FAILED = 400
const TIMEOUT = { timeout: 3_600_000 }
/** Each is a process that waits for strace, again and again. */
const AT_ONCE = 2

const runs = hasStrace()
if (!runs) notTested('the failure of every I/O call', 'There is no strace here.')

const PROGRAM = new URL('io-program.ts', import.meta.url)
const script = await Script.bundle(PROGRAM)
const hastyScript = await Script.bundle(PROGRAM, acknowledgeEarly)
const hopefulScript = await Script.bundle(PROGRAM, acknowledgeRefused)

const ERRORS: readonly Fault[] = [
  { error: 'EIO', lasting: false },
  { error: 'ENOSPC', lasting: true },
  { error: 'ENOSPC', lasting: false },
  { error: 'EIO', lasting: true },
]

/** Node wakes itself up by writes of its own, and ends when one of them fails: of these, only one is made to. */
const NODES_OWN = /^writev?$/

/** In the long form all of them; in the short one a call fails in one way, and its neighbour in another. */
function errorsAt({ call }: Point, index: number): readonly Fault[] {
  const errors = NODES_OWN.test(call) ? ERRORS.filter((fault) => fault !== 'kill' && !fault.lasting) : ERRORS
  return FORM === 'long' ? errors : [errors[index % errors.length] ?? 'kill']
}

class Figures {
  /** Pairs of a call and its number that failed, and those at which the process was killed. */
  readonly failed = new Set<string>()
  readonly killed = new Set<string>()
  /** Runs of which the fault did not hit what it was meant for. */
  missed = 0
  readonly outcomes: Record<string, number> = {}
  readonly wrong: string[] = []

  toString(): string {
    const { failed, killed, missed, outcomes, wrong } = this
    return JSON.stringify({ failed: failed.size, killed: killed.size, missed, outcomes, wrong: wrong.length })
  }
}

interface Task {
  readonly point: Point
  readonly fault: Fault
}

const show = (fault: Fault): string =>
  fault === 'kill' ? fault : `${fault.error}${fault.lasting ? ' from then on' : ''}`

class Trial {
  readonly figures: Figures
  readonly #scenario: Scenario
  readonly #script: Script
  readonly #folder: TemporaryFolder
  readonly #template: string
  #number = 0

  constructor(scenario: Scenario, from: Script, figures: Figures, folder: TemporaryFolder) {
    this.#folder = folder
    this.#scenario = scenario
    this.#script = from
    this.#template = folder.file(`${scenario.what}-template`)
    this.figures = figures
  }

  async points(): Promise<Point[]> {
    await this.#scenario.prepare(this.#template)
    const { folder, command } = this.#place()
    const points = pointsOf(folder, command)
    rmSync(folder, { recursive: true })
    return points
  }

  #place(): { folder: string; command: string[] } {
    const folder = this.#folder.file(`${this.#scenario.what}-${this.#number++}`)
    cpSync(this.#template, folder, { recursive: true })
    const other = this.#scenario.other?.(folder) ?? ''
    return { folder, command: [process.execPath, this.#script.file, this.#scenario.what, databaseIn(folder), other] }
  }

  async run({ point, fault }: Task): Promise<void> {
    const { figures } = this
    const { folder, command } = this.#place()
    const ran = await runWith(fault, point, folder, command)
    const where = `${this.#scenario.what}, ${point.call} ${point.number}, ${show(fault)}`
    const wrong = (what: string): void => void figures.wrong.push(`${where}: ${what}`)
    const said = saidBy(ran.stdout)
    for (const outcome of said.values()) figures.outcomes[outcome] = (figures.outcomes[outcome] ?? 0) + 1
    // It hit another call of this kind, of Node's own, and says nothing.
    if (!ran.fired) figures.missed++
    else figures[fault === 'kill' ? 'killed' : 'failed'].add(`${this.#scenario.what} ${point.call} ${point.number}`)
    // It says what failed, and goes on or ends: it neither crashes nor hangs.
    if (ran.fired && ran.code !== 0 && !(fault === 'kill' && ran.signal === 'SIGKILL'))
      wrong(`it ended with ${ran.code ?? ran.signal}: ${ran.stderr.slice(-400)}`)
    const problems = await this.#scenario.judge(folder, said).catch((error: unknown) => [`afterwards: ${error}`])
    for (const problem of problems) wrong(problem)
    rmSync(folder, { recursive: true })
  }
}

async function inTurn(trial: Trial, tasks: readonly Task[], enough: () => boolean = () => false): Promise<void> {
  const left = tasks.values()
  const lane = async (): Promise<void> => {
    for (const task of left) {
      if (enough()) return
      await trial.run(task)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

describe.skipIf(!runs)('a call fails, or is the last one', () => {
  test('and what was acknowledged is there, what was refused is not, and all goes on', TIMEOUT, async () => {
    const total = new Figures()
    using folder = temporaryFolder()
    for (const scenario of await scenarios(folder)) {
      const before = `${total}`
      const trial = new Trial(scenario, script, total, folder)
      const points = await trial.points()
      await inTurn(trial, [
        ...points
          .filter((_, index) => index % FAIL_EVERY === 0)
          .flatMap((point, index) => errorsAt(point, index).map((fault) => ({ point, fault }))),
        ...points.filter((_, index) => index % KILL_EVERY === 0).map((point): Task => ({ point, fault: 'kill' })),
      ])
      console.log(`${scenario.what}: ${points.length} calls; from ${before} to ${total}`)
    }
    expect(total.wrong).toEqual([])
    expect(total.failed.size).toBeGreaterThanOrEqual(LEAST_FAILED)
    expect(total.killed.size).toBeGreaterThanOrEqual(LEAST_KILLED)
    shows(`${total.failed.size} calls failed, ${total.killed.size} kills; outcomes ${JSON.stringify(total.outcomes)}`)
  })

  /** Writes, with such a queue, until something is wrong. */
  async function wrongWith(from: Script, call: RegExp, fault: Fault): Promise<string[]> {
    using folder = temporaryFolder()
    const [write] = await scenarios(folder)
    if (write === undefined) throw new Error('There is no scenario.')
    const figures = new Figures()
    const trial = new Trial(write, from, figures, folder)
    const points = (await trial.points()).filter((point) => call.test(point.call))
    await inTurn(
      trial,
      points.map((point) => ({ point, fault })),
      () => figures.wrong.length > 0,
    )
    return figures.wrong
  }

  test('the same test finds a queue that acknowledges before it commits', TIMEOUT, async () => {
    expect(planted.count).toBe(1)
    expect(await wrongWith(hastyScript, /sync$/, 'kill')).toContainEqual(expect.stringMatching(/is lost$/))
  })

  test('the same test finds a queue that acknowledges what could not be committed', TIMEOUT, async () => {
    expect(plantedAnswers.count).toBe(1)
    const wrong = await wrongWith(hopefulScript, /^pwrite/, { error: 'ENOSPC', lasting: true })
    expect(wrong).toContainEqual(expect.stringMatching(/is lost$/))
  })
})
