import type { ComparisonTable, TableRow } from '../comparison-table.ts'
import { contest, type Round } from '../contest.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { largeFile, nodeOf } from '../data.ts'
import { enter, SQLITE_PEERS } from '../sqlite-peers.ts'
import { closeAll, enterAll, isIn, whyNot } from './peers.ts'

const SIZES = { quick: [5_000], full: [5_000, 100_000] }
const ROUNDS = { quick: 2, full: 5, large: 2 }
const LARGE = 50_000

/** Many rows in one transaction, durable, into a file that holds the rounds before. */
export const bulk: Benchmark = {
  name: 'bulk',
  run: async (context) => {
    const entered = await enterAll(SQLITE_PEERS, async (entry) =>
      enter(entry, await largeFile(newFile(context, 'bulk'), 0), 'full'),
    )
    try {
      const rows: TableRow[] = []
      for (const size of context.quick ? SIZES.quick : SIZES.full) rows.push(await loaded(context, entered, size))
      return [
        {
          title: 'SQLite: bulk load, one transaction',
          columns: entered.map(({ name }) => name),
          rows,
          notes: [
            ...whyNot(entered),
            'Rows per second. Meshstore: createMany, which checks every value. All sides write into a file with the triggers of the library, which look at each row.',
          ],
          peers: true,
        } satisfies ComparisonTable,
      ]
    } finally {
      await closeAll(entered)
    }
  },
}

async function loaded(
  context: Context,
  entered: Awaited<ReturnType<typeof enterAll>>,
  size: number,
): Promise<TableRow> {
  const name = `load ${size.toLocaleString('en')}`
  const rounds = entered.map((each): Round | undefined => {
    if (!isIn(each)) return undefined
    return async (round) => {
      context.progress(`${name}: ${each.name}`)
      const nodes = Array.from({ length: size }, (_, n) => nodeOf(n, `load-${size}-${round}-${n}`))
      return (size * 1_000) / (await each.time('insertMany', [[nodes]], false)).mean
    }
  })
  const count = context.quick ? ROUNDS.quick : size < LARGE ? ROUNDS.full : ROUNDS.large
  return { name, unit: '/s', cells: await contest(rounds, { warmUp: size < LARGE ? 1 : 0, count }) }
}
