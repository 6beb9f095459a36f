import Sqlite from 'better-sqlite3'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { LaneState, operationAt, SHARED } from './lane.ts'

/** A lane has one write in flight; the parent may not yet have been told of a few that were acknowledged. */
const REACH = 16

export interface Verdict {
  /** Writes that were acknowledged and are not there. */
  lost: number
  /** Writes in flight that turned out to be there. */
  unacknowledged: number
  /** Content that no number of complete writes explains, and other faults. */
  readonly wrong: string[]
}

/** The content that one file must have: how far each lane is, and how far it has been told that it is. */
export class Model {
  readonly seed: number
  readonly positions: number[]
  readonly #states: LaneState[]

  constructor(seed: number, lanes: number) {
    this.seed = seed
    this.positions = Array.from({ length: lanes }, () => 0)
    this.#states = this.positions.map(() => new LaneState())
  }

  /** Compares the file with what was acknowledged, and goes on from what is there. */
  async judge(path: string, acknowledged: readonly number[]): Promise<Verdict> {
    const verdict: Verdict = { lost: 0, unacknowledged: 0, wrong: [] }
    verdict.wrong.push(...damageIn(path))
    await using store = await openStorage(path)
    const rows = await read(store, this.positions.length)
    verdict.wrong.push(...rows.strangers)
    for (const [lane, actual] of rows.lanes.entries()) this.#judgeLane(lane, actual, acknowledged[lane] ?? 0, verdict)
    if (verdict.wrong.length === 0) verdict.wrong.push(...miscounted(rows, this.#states))
    return verdict
  }

  /** The faults of a copy of the file made since the last call: it must be of one moment of that time. */
  async explain(path: string, acknowledged: readonly number[]): Promise<string[]> {
    const wrong = damageIn(path)
    await using store = await openStorage({ url: path, readOnly: true })
    const rows = await read(store, this.positions.length)
    wrong.push(...rows.strangers)
    let [least, most] = [0, 0]
    for (const [lane, actual] of rows.lanes.entries()) {
      const found = this.#find(lane, actual, acknowledged[lane] ?? 0)
      if (found === undefined) wrong.push(`lane ${lane} holds ${actual}`)
      else {
        least += Math.min(...found.counted)
        most += Math.max(...found.counted)
      }
    }
    if (wrong.length > 0 || (least <= rows.shared && rows.shared <= most)) return wrong
    return [`${least} to ${most} transactions are there, and counted ${rows.shared} times`]
  }

  #judgeLane(lane: number, actual: LaneState, acknowledged: number, verdict: Verdict): void {
    const found = this.#find(lane, actual, acknowledged)
    if (found === undefined) {
      verdict.wrong.push(`lane ${lane}, of which ${acknowledged} writes were acknowledged, holds ${actual}`)
      return
    }
    if (found.at < acknowledged) verdict.lost += acknowledged - found.at
    else verdict.unacknowledged += found.at - acknowledged
    this.positions[lane] = found.at
    this.#states[lane] = found.state
  }

  /** After how many writes the lane holds this: from the acknowledged one on, or one before it only if there is none. */
  #find(lane: number, actual: LaneState, acknowledged: number): Matching | undefined {
    const rows = String(actual)
    // A lane may come to hold the same again: how often it had counted by then.
    const counted: number[] = []
    let matching: Omit<Matching, 'counted'> | undefined
    const program = (this.#states[lane] ?? new LaneState()).copy()
    for (let at = this.positions[lane] ?? 0; at <= acknowledged + REACH; at++) {
      if (String(program) === rows) {
        counted.push(program.shared)
        if (matching === undefined || matching.at < acknowledged) matching = { at, state: program.copy() }
      }
      program.apply(operationAt(this.seed, lane, at, program))
    }
    return matching && { ...matching, counted }
  }
}

interface Matching {
  readonly at: number
  readonly state: LaneState
  readonly counted: readonly number[]
}

function damageIn(path: string): string[] {
  const raw = new Sqlite(path, { readonly: true })
  try {
    const integrity = raw.pragma('integrity_check', { simple: true })
    return integrity === 'ok' ? [] : [`integrity_check: ${integrity}`]
  } finally {
    raw.close()
  }
}

/** One transaction counts once, whatever else it wrote: if not, one half of it is there. */
function miscounted({ shared }: Rows, states: readonly LaneState[]): string[] {
  const counted = states.reduce((sum, state) => sum + state.shared, 0)
  return shared === counted ? [] : [`${counted} transactions are there, and counted ${shared} times`]
}

interface Rows {
  readonly lanes: LaneState[]
  readonly strangers: string[]
  readonly shared: number
}

/** Everything in the store, through the store, sorted into lanes. */
async function read(store: Meshstore, lanes: number): Promise<Rows> {
  const rows: Rows = { lanes: Array.from({ length: lanes }, () => new LaneState()), strangers: [], shared: 0 }
  const laneOf = (id: string): LaneState => {
    const lane = rows.lanes[Number(id.split('/')[0])]
    if (lane !== undefined) return lane
    rows.strangers.push(`${id} is nobody's`)
    return new LaneState()
  }
  let shared = 0
  for await (const { nodeId, interfaces, protocols, started, routesDiscovered } of store.nodes.iterate()) {
    if (nodeId === SHARED) shared = routesDiscovered
    else laneOf(nodeId).nodes.set(nodeId, { interfaces, protocols, started, routesDiscovered })
  }
  for await (const { policyId } of store.policies.iterate()) {
    const policy = await store.policies.get(policyId)
    if (policy !== undefined) laneOf(policyId).policies.set(policyId, policy.yamlContent)
  }
  for await (const { source, destination, bundle } of store.pathCache.iterate()) {
    laneOf(source).paths.set(destination, bundle.primary[0]?.total_weight ?? -1)
  }
  return { ...rows, shared }
}
