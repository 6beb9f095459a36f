/** The store's background jobs, each on a timer of its own. They keep no process running, and try again after a failure. */
import { AsyncResource } from 'node:async_hooks'
import { performance } from './event-loop.ts'

/** A job that is wanted soon runs after this many milliseconds … */
const SOON_MS = 50
/** … but first rests this many times as long as its last run took: however often it is wanted, it takes a tenth of the time. */
const REST = 9

interface Job {
  /** Names the job in `health()`. */
  readonly name: string
  readonly run: () => Promise<unknown>
}

export class Maintenance<Name extends string> {
  readonly #jobs: Readonly<Record<Name, RepeatingJob>>

  constructor(jobs: Readonly<Record<Name, Job>>, everySeconds: number) {
    const repeating = Object.entries<Job>(jobs).map(([name, job]) => [name, new RepeatingJob(job, everySeconds)])
    this.#jobs = Object.fromEntries(repeating)
  }

  start(): void {
    for (const job of this.#all()) job.start()
  }

  stop(): void {
    for (const job of this.#all()) job.stop()
  }

  /** Runs the job before its time. */
  soon(name: Name): void {
    this.#jobs[name].soon()
  }

  /** Why the last run of each job failed, if it did. */
  failures(): Readonly<Record<string, unknown>> {
    return Object.fromEntries(this.#all().map(({ name, failure }) => [name, failure]))
  }

  #all(): readonly RepeatingJob[] {
    return Object.values(this.#jobs)
  }
}

class RepeatingJob {
  readonly #job: Job
  readonly #everyMs: number
  readonly #round: () => void
  #timer: NodeJS.Timeout | undefined
  #stopped = true
  #isSoon = false
  #isRunning = false
  /** When the next run may come, by `performance.now()`. */
  #restsUntil = 0
  #failure: unknown

  constructor(job: Job, everySeconds: number) {
    this.#job = job
    this.#everyMs = everySeconds * 1_000
    // `soon()` may be called in a transaction. The job is no part of it.
    this.#round = AsyncResource.bind(() => void this.#run())
  }

  get name(): string {
    return this.#job.name
  }

  get failure(): unknown {
    return this.#failure
  }

  start(): void {
    this.#stopped = false
    this.#plan()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  soon(): void {
    if (this.#stopped || this.#isSoon) return
    this.#isSoon = true
    // A job that is wanted while it runs may have missed the reason: it runs once more.
    if (!this.#isRunning) this.#plan()
  }

  /** Jitter: processes that were started together run their jobs apart. */
  #plan(): void {
    if (this.#stopped) return
    const rest = Math.max(SOON_MS, this.#restsUntil - performance.now())
    this.#wait(this.#isSoon ? rest : this.#everyMs * (0.75 + Math.random() / 2))
  }

  #wait(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#round, milliseconds)
    this.#timer.unref()
  }

  async #run(): Promise<void> {
    this.#isSoon = false
    this.#isRunning = true
    const begun = performance.now()
    try {
      await this.#job.run()
      this.#failure = undefined
    } catch (error) {
      if (!this.#stopped) this.#failure = error
    }
    this.#isRunning = false
    const ended = performance.now()
    this.#restsUntil = ended + REST * (ended - begun)
    this.#plan()
  }
}
