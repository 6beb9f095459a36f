/** How long each operation takes, on the library and on the raw driver in turn. */
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
}

/** Milliseconds that one operation may take on both sides, unless it was called too seldom to say anything. */
const BUDGET_MS = 150
const FEWEST_CALLS = 20
const WARM_UP_CALLS = 10

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
    const subject = await subjectOf({ store, raw, writes: extent.writes + WARM_UP_CALLS })
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

/** One call of each side in turn, so that what disturbs the machine or the disk disturbs both. */
async function timingOf(operation: Operation, extent: Extent): Promise<Timing> {
  await operation.prepare?.()
  const store: number[] = []
  const raw: number[] = []
  const most = (operation.kind === 'read' ? extent.reads : extent.writes) + WARM_UP_CALLS
  const started = performance.now()
  for (let n = 0; n < most; n++) {
    if (n >= FEWEST_CALLS + WARM_UP_CALLS && performance.now() - started > BUDGET_MS) break
    const storeFirst = n % 2 === 0
    const before = storeFirst ? 0 : timeOf(() => operation.raw(n))
    const begun = performance.now()
    await operation.store(n)
    const took = performance.now() - begun
    const rawTook = storeFirst ? timeOf(() => operation.raw(n)) : before
    if (n < WARM_UP_CALLS) continue
    store.push(took)
    raw.push(rawTook)
  }
  const { name, targetMs } = operation
  return { name, targetMs, store: summaryOf(store), raw: summaryOf(raw) }
}

function timeOf(call: () => unknown): number {
  const begun = performance.now()
  call()
  return performance.now() - begun
}
