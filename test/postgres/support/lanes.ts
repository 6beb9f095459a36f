/** Writers on rows of their own, side by side, on a server that comes and goes: each knows what must be there. */
import { type Meshstore, StorageError } from '../../../src/index.ts'
import { LaneState, type Operation, operationAt, SHARED } from '../../faults/lane.ts'
import { perform } from '../../faults/perform.ts'
import { all } from '../../support/expectations.ts'
import { eventually } from './eventually.ts'

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
  readonly #seed: number
  readonly #states: LaneState[]
  #stopping = false
  #running: Promise<unknown> = Promise.resolve()

  constructor(store: Meshstore, options: { lanes: number; seed: number }) {
    this.#store = store
    this.#seed = options.seed
    this.#states = Array.from({ length: options.lanes }, () => new LaneState())
  }

  async start(): Promise<void> {
    await this.#store.nodes.create({ nodeId: SHARED, interfaces: [], protocols: [] })
    this.#running = Promise.all(this.#states.map((state, lane) => this.#run(lane, state)))
    this.#running.catch(() => {})
  }

  /** Resolves when so many more writes were acknowledged. */
  async progress(writes: number): Promise<void> {
    const enough = this.figures.acknowledged + writes
    const failed = this.#running.then(() => Promise.reject(new Error('The lanes have stopped.')))
    failed.catch(() => {})
    await Promise.race([
      failed,
      eventually(`${writes} more writes are acknowledged`, () => this.figures.acknowledged >= enough),
    ])
  }

  /** Lets them finish what they are about, and compares all that is there with all that must be. */
  async stop(): Promise<Figures> {
    this.#stopping = true
    await this.#running
    for (const [lane, state] of this.#states.entries()) await this.#compare(lane, String(state), 'at the end')
    const counted = this.#states.reduce((sum, { shared }) => sum + shared, 0)
    const { routesDiscovered } = (await this.#store.nodes.get(SHARED)) ?? {}
    if (routesDiscovered !== counted) {
      this.figures.wrong.push(`${counted} transactions are there, and counted ${routesDiscovered} times`)
    }
    return this.figures
  }

  async #run(lane: number, state: LaneState): Promise<void> {
    for (let at = 0; !this.#stopping; ) {
      const operation = operationAt(this.#seed, lane, at, state)
      if (await this.#perform(lane, state, operation)) {
        state.apply(operation)
        at++
      }
    }
  }

  /** Whether it is there. */
  async #perform(lane: number, state: LaneState, operation: Operation): Promise<boolean> {
    const begun = performance.now()
    const failure = await perform(this.#store, lane, operation).then(() => undefined, storageError)
    this.figures.longestMs = Math.max(this.figures.longestMs, performance.now() - begun)
    if (failure === undefined) {
      this.figures.acknowledged++
      return true
    }
    const there = await this.#isThere(lane, state, operation)
    if (failure.code !== 'OUTCOME_UNKNOWN') {
      this.figures.refused++
      if (there) this.figures.wrong.push(`${operation.kind} of lane ${lane} failed with ${failure.code}, and is there`)
    } else if (there) this.figures.unknownThere++
    else this.figures.unknownGone++
    return there
  }

  async #isThere(lane: number, state: LaneState, operation: Operation): Promise<boolean> {
    const after = state.copy()
    after.apply(operation)
    const found = await this.#found(lane)
    if (found === String(state)) return false
    if (found !== String(after)) await this.#compare(lane, String(after), `after ${operation.kind}`)
    return true
  }

  async #compare(lane: number, expected: string, when: string): Promise<void> {
    const found = await this.#found(lane)
    if (found === expected) return
    this.figures.lost++
    this.figures.wrong.push(`lane ${lane} ${when}: ${found} instead of ${expected}`)
  }

  /** What is there, as soon as the server answers. */
  async #found(lane: number): Promise<string> {
    let found: LaneState | undefined
    await eventually('the server answers again', async () => {
      found = await this.#read(lane).catch((error) => {
        if (storageError(error).retryable) return undefined
        throw error
      })
      return found !== undefined
    })
    return String(found)
  }

  async #read(lane: number): Promise<LaneState> {
    const { nodes, policies, pathCache } = this.#store
    const state = new LaneState()
    const prefix = `${lane}/`
    for (const { nodeId, interfaces, protocols, started, routesDiscovered } of await nodes.list({
      after: prefix,
      limit: 2_000,
    })) {
      if (nodeId.startsWith(prefix)) state.nodes.set(nodeId, { interfaces, protocols, started, routesDiscovered })
    }
    for (const { policyId } of await all(policies.iterate())) {
      const policy = policyId.startsWith(prefix) ? await policies.get(policyId) : undefined
      if (policy !== undefined) state.policies.set(policyId, policy.yamlContent)
    }
    for (const { destination, bundle } of await pathCache.list({ source: String(lane) })) {
      state.paths.set(destination, bundle.primary[0]?.total_weight ?? -1)
    }
    return state
  }
}

/** The error itself, or what a refusal that was waited for came to instead. */
function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  if (error instanceof Error && error.cause instanceof StorageError) return error.cause
  throw error
}
