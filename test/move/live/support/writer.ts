/** A process that writes to a file, and tells what it was told. */
import type { Program } from '../../../sqlite/support/program.ts'
import type { Script } from '../../../sqlite/support/script.ts'
import { answerOf, PATIENCE, type Place } from './arena.ts'
import type { Journal } from './journal.ts'

/** Writes a second. */
const RATE = 200

export class Writer implements AsyncDisposable {
  readonly #program: Program

  /** `serving`: programs/serving.ts */
  constructor(serving: Script) {
    this.#program = serving.start()
  }

  async begin(where: Place, seed: number, { follows }: { follows: boolean }): Promise<void> {
    await this.#program.line()
    const open = { url: where.path, ...PATIENCE, ...(follows && { successor: where.database.url }) }
    await answerOf(this.#program, { open, prefix: 'writer', seed, perSecond: RATE * 1.6 })
    await this.progress(30)
  }

  progress(writes: number): Promise<number> {
    return answerOf(this.#program, { progress: writes })
  }

  async end(): Promise<Journal> {
    return (await answerOf<{ journal: Journal }>(this.#program, 'stop')).journal
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.kill()
  }
}
