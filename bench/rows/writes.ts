import { parseAllDocuments } from 'yaml'
import { type Comparison, compareByTurns } from '../compare.ts'
import type { Benchmark, Context } from '../context.ts'
import { withBothSides } from '../context.ts'
import { NODES, nodeId, nodeOf, POLICY_ID, policyText } from '../data.ts'
import { syncTimes } from '../disk.ts'
import { atMost, atMostTimesRaw, type Result, type Target } from '../result.ts'
import { medianOf } from '../statistics.ts'

const DISK_FAST_ENOUGH_MS = 0.5
const ONE_MS = 1

/** One caller that awaits each write. Every write changes values: SQLite may skip one that changes nothing. */
export const writes: Benchmark = {
  name: 'write',
  run: async (context) => [...(await oneByOne(context, 'full')), ...(await oneByOne(context, 'normal'))],
}

function oneByOne(context: Context, durability: 'full' | 'normal'): Promise<Result[]> {
  return withBothSides(context, durability, async (store, raw) => {
    const extent = { rounds: context.quick ? 15 : 40, calls: 40 }
    const results: Result[] = []
    const add = (name: string, measured: Comparison, ...notes: string[]): void => {
      const label = durability === 'full' ? `${name}, durable` : `${name}, durability normal`
      results.push({
        name: label,
        unit: 'ms',
        ours: measured.ours,
        raw: measured.raw,
        ratio: measured.ratio,
        targets: durability === 'full' ? [atMostTimesRaw(1.2, measured), absolute(context, measured)] : [],
        notes,
      })
    }

    add(
      'insert node',
      await compareByTurns(
        {
          ours: (n) => store.nodes.create(nodeOf(NODES + n)),
          raw: (n) => raw.createNode(nodeOf(NODES + n)),
        },
        extent,
      ),
    )
    // Nodes with an even number are started: the first time around they stop, then they start again.
    const evenId = (n: number): string => nodeId((n * 2) % NODES)
    const started = (n: number): boolean => Math.floor((n * 2) / NODES) % 2 === 1
    add(
      'update node',
      await compareByTurns(
        {
          ours: (n) => store.nodes.update(evenId(n), { started: started(n) }),
          raw: (n) => raw.startNode(evenId(n), started(n)),
        },
        extent,
      ),
    )
    const text = (n: number): string => policyText(n + 1)
    add(
      'update policy',
      await compareByTurns(
        {
          ours: (n) => store.policies.update(POLICY_ID, { yamlContent: text(n) }),
          raw: (n) => raw.updatePolicy(counted(text(n))),
        },
        extent,
      ),
      'Both sides parse the YAML and count its rules.',
    )
    return results
  })
}

/** A user of the raw driver has to read the YAML as well, to know how many rules there are. */
function counted(yamlContent: string) {
  const [document] = parseAllDocuments(yamlContent)
  const rules: unknown = document?.toJS().rules
  return { policyId: POLICY_ID, yamlContent, rulesCount: Array.isArray(rules) ? rules.length : 0 }
}

/** Below 1 ms, where the disk itself syncs in half of that. */
function absolute({ folder }: Context, { ours }: Comparison): Target {
  const sync = medianOf(syncTimes(folder, { samples: 50, budgetMs: 500 }))
  return sync < DISK_FAST_ENOUGH_MS
    ? atMost(ONE_MS, ours.p50, 'ms', '1 ms')
    : atMost(ONE_MS + sync, ours.p50, 'ms', `1 ms + a sync (${sync.toFixed(2)} ms on this disk)`)
}
