import { each, eachAwaited } from '../compare.ts'
import type { Benchmark } from '../context.ts'
import { newFile } from '../context.ts'
import { largeFile, NODES, nodeId } from '../data.ts'
import { openStorage } from '../library.ts'
import { RawStore } from '../raw-store.ts'
import { atMost } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const ROWS = { quick: 200_000, full: 2_000_000 }
const CALLS = 4_000
const LIMIT = 2
/** Multiplied by n modulo the number of rows: far apart, and each another one. */
const STRIDE = 1_299_709

/** What a read by id costs in a large file, by what it costs in a small one. */
export const growth: Benchmark = {
  name: 'growth',
  run: async (context) => {
    const rows = context.quick ? ROWS.quick : ROWS.full
    context.progress(`writing ${rows.toLocaleString('en')} rows`)
    const smallFile = await largeFile(newFile(context, 'small'), NODES)
    const bigFile = await largeFile(newFile(context, 'big'), rows)
    await using small = await openStorage(smallFile)
    await using big = await openStorage(bigFile)
    const [rawSmall, rawBig] = [new RawStore(smallFile, 'full'), new RawStore(bigFile, 'full')]
    const idsOf = (count: number, round: number): string[] =>
      Array.from({ length: CALLS }, (_, n) => nodeId(((round * CALLS + n) * STRIDE) % count))
    const [ours, raw]: [number[], number[]] = [[], []]
    context.progress('reading')
    for (let round = 0; round < (context.quick ? 10 : 40); round++) {
      const [near, far] = [idsOf(NODES, round), idsOf(rows, round)]
      const id = (ids: string[], n: number): string => ids[n] ?? ''
      const ourSmall = await eachAwaited(CALLS, (n) => small.nodes.get(id(near, n)))
      const ourBig = await eachAwaited(CALLS, (n) => big.nodes.get(id(far, n)))
      ours.push(ourBig / ourSmall)
      raw.push(each(CALLS, (n) => rawBig.node(id(far, n))) / each(CALLS, (n) => rawSmall.node(id(near, n))))
    }
    rawSmall.close()
    rawBig.close()
    return [
      {
        name: `read by id at ${rows.toLocaleString('en')} rows`,
        unit: '×',
        ours: summaryOf(ours),
        raw: summaryOf(raw),
        targets: [atMost(LIMIT, summaryOf(ours).p50, '×', `${LIMIT} × that at ${NODES.toLocaleString('en')}`)],
      },
    ]
  },
}
