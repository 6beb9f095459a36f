/** How long each operation takes, on the library and on the raw driver in turn. */
import { timesByTurns } from '../../bench/compare.ts'
import { type Durability, RawStore } from '../../bench/raw-store.ts'
import { type Summary, summaryOf } from '../../bench/statistics.ts'
import { openStorage } from '../../src/index.ts'
import { type Operation, operations, type Subject } from './operations.ts'

export interface Timing {
  readonly name: string
  readonly targetMs: number
  /** Milliseconds. */
  readonly store: Summary
  readonly raw: Summary
}

export interface Extent {
  /** Calls of an operation that reads, and of one that writes. */
  readonly reads: number
  readonly writes: number
  /** Calls of each operation before, which are not measured: JavaScript's compiler needs some hundreds. */
  readonly warmUp: number
}

/** Milliseconds that one operation may take on both sides, unless it was called too seldom to say anything. */
const BUDGET_MS = 150
const FEWEST_CALLS = 20
/** Between two looks at the clock. */
const CALLS_AT_ONCE = 20

/** Two files with equal content, one for each side. */
export async function measure(
  files: { readonly store: string; readonly raw: string },
  durability: Durability,
  extent: Extent,
  afterEach: () => void,
): Promise<Timing[]> {
  const raw = new RawStore(files.raw, durability)
  try {
    await using store = await openStorage({ url: files.store, durability })
    const timings: Timing[] = []
    const subject = await subjectOf({ store, raw, writes: extent.writes + extent.warmUp })
    for (const operation of operations(subject)) {
      timings.push(await timingOf(operation, extent))
      afterEach()
    }
    return timings
  } finally {
    raw.close()
  }
}

async function subjectOf(on: Pick<Subject, 'store' | 'raw' | 'writes'>): Promise<Subject> {
  const nodeIds: string[] = []
  for await (const { nodeId } of on.store.nodes.iterate()) nodeIds.push(nodeId)
  const [summary] = await on.store.policies.list({ limit: 1 })
  const [entry] = await on.store.pathCache.list({ limit: 1 })
  const policy = summary && (await on.store.policies.get(summary.policyId))
  if (policy === undefined) throw new Error('There is no policy to measure with.')
  const { policyId, yamlContent: policyText, rulesCount } = policy
  // A mesh of one node has no pairs.
  const bundle = entry?.bundle ?? { source: policyId, destination: policyId, primary: [] }
  return { ...on, nodeIds, policyId, policyText, rulesCount, bundle }
}

async function timingOf(operation: Operation, extent: Extent): Promise<Timing> {
  await operation.prepare?.()
  const { name, kind, targetMs } = operation
  const sides = { ours: operation.store, raw: operation.raw }
  await timesByTurns(sides, 0, extent.warmUp)
  const store: number[] = []
  const raw: number[] = []
  const end = extent.warmUp + (kind === 'read' ? extent.reads : extent.writes)
  const begun = performance.now()
  for (let first = extent.warmUp; first < end; first += CALLS_AT_ONCE) {
    if (store.length >= FEWEST_CALLS && performance.now() - begun > BUDGET_MS) break
    const times = await timesByTurns(sides, first, Math.min(first + CALLS_AT_ONCE, end))
    store.push(...times.ours)
    raw.push(...times.raw)
  }
  return { name, targetMs, store: summaryOf(store), raw: summaryOf(raw) }
}
