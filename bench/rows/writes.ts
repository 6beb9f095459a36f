import { type Comparison, compare, medianOfAwaited, medianOfEach } from '../compare.ts'
import type { Benchmark, Context } from '../context.ts'
import { withBothSides } from '../context.ts'
import { NODES, nodeId, nodeOf, POLICY_ID, policyText } from '../data.ts'
import { syncTimes } from '../disk.ts'
import { atMost, atMostTimesRaw, type Result, type Target } from '../result.ts'

const RULES_IN_TEXT = 3
const DISK_FAST_ENOUGH_MS = 0.5
const ONE_MS = 1

/** One caller that awaits each write. Every write changes values: SQLite may skip one that changes nothing. */
export const writes: Benchmark = {
  name: 'write',
  run: async (context) => [...(await oneByOne(context, 'full')), ...(await oneByOne(context, 'normal'))],
}

function oneByOne(context: Context, durability: 'full' | 'normal'): Promise<Result[]> {
  return withBothSides(context, durability, async (store, raw) => {
    const rounds = context.quick ? 15 : 60
    const calls = 20
    const results: Result[] = []
    const add = (name: string, measured: Comparison): void => {
      const label = durability === 'full' ? `${name}, durable` : `${name}, durability normal`
      results.push({
        name: label,
        unit: 'ms',
        ours: measured.ours,
        raw: measured.raw,
        ratio: measured.ratio,
        targets: durability === 'full' ? [atMostTimesRaw(1.2, measured), absolute(context, measured)] : [],
      })
    }

    let [ourInserts, rawInserts] = [NODES, NODES]
    add(
      'insert node',
      await compare(
        {
          ours: () => medianOfAwaited(calls, () => store.nodes.create(nodeOf(ourInserts++))),
          raw: () => medianOfEach(calls, () => raw.createNode(nodeOf(rawInserts++))),
        },
        rounds,
      ),
    )
    const turn = (round: number): boolean => round % 2 === 1
    add(
      'update node',
      await compare(
        {
          ours: (round) => medianOfAwaited(calls, (n) => store.nodes.update(nodeId(n * 2), { started: turn(round) })),
          raw: (round) => medianOfEach(calls, (n) => raw.startNode(nodeId(n * 2), turn(round))),
        },
        rounds,
      ),
    )
    let [ourTexts, rawTexts] = [1, 1]
    add(
      'update policy',
      await compare(
        {
          ours: () =>
            medianOfAwaited(calls, () => store.policies.update(POLICY_ID, { yamlContent: policyText(ourTexts++) })),
          raw: () =>
            medianOfEach(calls, () =>
              raw.updatePolicy({
                policyId: POLICY_ID,
                yamlContent: policyText(rawTexts++),
                rulesCount: RULES_IN_TEXT,
              }),
            ),
        },
        rounds,
      ),
    )
    return results
  })
}

/** Below 1 ms, where the disk itself syncs in half of that. */
function absolute({ folder }: Context, { ours }: Comparison): Target {
  const sync = syncTimes(folder, { samples: 50, budgetMs: 500 }).p50
  return sync < DISK_FAST_ENOUGH_MS
    ? atMost(ONE_MS, ours.p50, 'ms', '1 ms')
    : atMost(ONE_MS + sync, ours.p50, 'ms', `1 ms + a sync (${sync.toFixed(2)} ms on this disk)`)
}
