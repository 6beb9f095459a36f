/** Writers on rows of their own, side by side, on a server that comes and goes: each knows what must be there. */
import { type Meshstore, StorageError } from '../../../src/index.ts'
import type { TestDatabase } from './database.ts'
import { asSoonAsAvailable, eventually } from './eventually.ts'
import { type Operation, operationAt, perform, Rows, rowsOf, SHARED } from './lane.ts'
import { earlierEnded } from './settled.ts'

export class Figures {
  acknowledged = 0
  /** OUTCOME_UNKNOWN, and it turned out to be there. */
  unknownThere = 0
  /** OUTCOME_UNKNOWN, and it turned out not to be there. */
  unknownGone = 0
  /** Failed in another way: must not be there. */
  refused = 0
  /** Acknowledged, and not there. */
  lost = 0
  longestMs = 0
  readonly wrong: string[] = []

  get unknown(): number {
    return this.unknownThere + this.unknownGone
  }

  toString(): string {
    const { acknowledged, unknownThere, unknownGone, refused, lost } = this
    const unknown = `${unknownThere + unknownGone} unknown (${unknownThere} there, ${unknownGone} not)`
    const longest = `the longest took ${Math.round(this.longestMs)} ms`
    return `${acknowledged} acknowledged, ${unknown}, ${refused} refused, ${lost} lost, ${longest}`
  }
}

export class Lanes {
  readonly figures = new Figures()
  readonly #store: Meshstore
  readonly #database: TestDatabase
  readonly #seed: number
  readonly #rows: Rows[]
  #stopping = false
  #running: Promise<unknown> = Promise.resolve()

  constructor(store: Meshstore, options: { database: TestDatabase; lanes: number; seed: number }) {
    this.#store = store
    this.#database = options.database
    this.#seed = options.seed
    this.#rows = Array.from({ length: options.lanes }, () => new Rows())
  }

  async start(): Promise<void> {
    await this.#store.nodes.create({ nodeId: SHARED, interfaces: [], protocols: [] })
    this.#running = Promise.all(this.#rows.map((_, lane) => this.#run(lane)))
    this.#running.catch(() => {})
  }

  /** Resolves when so many more writes were acknowledged. */
  async progress(writes: number): Promise<void> {
    const enough = this.figures.acknowledged + writes
    const failed = this.#running.then(() => Promise.reject(new Error('The lanes have stopped.')))
    failed.catch(() => {})
    await Promise.race([
      failed,
      eventually(`${writes} more writes are acknowledged`, () => this.figures.acknowledged >= enough, 60_000),
    ])
  }

  /** Lets them finish what they are about, and compares all that is there with all that must be. */
  async stop(): Promise<Figures> {
    this.#stopping = true
    await this.#running
    for (const [lane, rows] of this.#rows.entries()) await this.#compare(lane, rows, 'at the end')
    const counted = this.#rows.reduce((sum, { shared }) => sum + shared, 0)
    const { routesDiscovered } = (await this.#store.nodes.get(SHARED)) ?? {}
    if (routesDiscovered !== counted) {
      this.figures.wrong.push(`${counted} transactions are there, and counted ${routesDiscovered} times`)
    }
    return this.figures
  }

  async #run(lane: number): Promise<void> {
    for (let at = 1; !this.#stopping; at++) {
      const operation = operationAt(this.#seed, lane, at)
      const rows = this.#rows[lane] ?? new Rows()
      if (await this.#perform(lane, rows, operation)) this.#rows[lane] = rows.after(operation)
    }
  }

  /** Whether it is there. */
  async #perform(lane: number, rows: Rows, operation: Operation): Promise<boolean> {
    const begun = performance.now()
    const failure = await perform(this.#store, lane, operation, rows).then(() => undefined, storageError)
    this.figures.longestMs = Math.max(this.figures.longestMs, performance.now() - begun)
    if (failure === undefined) {
      this.figures.acknowledged++
      return true
    }
    if (failure.code === 'OUTCOME_UNKNOWN') await earlierEnded(this.#database)
    const there = await this.#isThere(lane, rows, operation)
    if (failure.code !== 'OUTCOME_UNKNOWN') {
      this.figures.refused++
      if (there)
        this.figures.wrong.push(`lane ${lane}: a write ${operation.how} failed (${failure.code}), and is there`)
    } else if (there) this.figures.unknownThere++
    else this.figures.unknownGone++
    return there
  }

  async #isThere(lane: number, rows: Rows, operation: Operation): Promise<boolean> {
    const found = String(await this.#found(lane))
    if (found === String(rows)) return false
    await this.#compare(lane, rows.after(operation), `after a write ${operation.how}`)
    return true
  }

  async #compare(lane: number, expected: Rows, when: string): Promise<void> {
    const found = String(await this.#found(lane))
    if (found === String(expected)) return
    this.figures.lost++
    this.figures.wrong.push(`lane ${lane} ${when}: ${found} instead of ${expected}`)
  }

  #found(lane: number): Promise<Rows> {
    return asSoonAsAvailable(() => rowsOf(this.#store, lane))
  }
}

function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  throw error
}
