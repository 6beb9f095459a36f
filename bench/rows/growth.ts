import { globSync, rmSync } from 'node:fs'
import type { Meshstore } from '../../src/index.ts'
import { each, eachAwaited } from '../compare.ts'
import type { Benchmark } from '../context.ts'
import { newFile } from '../context.ts'
import { largeFile, NODES, nodeId } from '../data.ts'
import { openStorage } from '../library.ts'
import { RawStore } from '../raw-store.ts'
import { atMost, type Result, type Target } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const ROWS = { quick: 50_000, full: 1_000_000, long: 5_000_000 }
const READ_LIMIT = 2
/** By the growth of the same thing on the raw driver. */
const LIMIT = 1.3
/** Multiplied by n modulo the number of rows: far apart, and each another one. */
const STRIDE = 1_299_709

interface Side {
  readonly file: string
  readonly rows: number
  readonly store: Meshstore
  readonly raw: RawStore
}

interface Operation {
  readonly name: string
  /** Calls in a round. */
  readonly calls: number
  readonly ours: (side: Side, n: number) => Promise<unknown>
  readonly byHand: (side: Side, n: number) => unknown
  /** Fewer rounds than the others: one call takes seconds in the large file. */
  readonly rounds?: number
}

const far = ({ rows }: Side, n: number, before = 0): string => nodeId((n * STRIDE) % (rows - before))

const OPERATIONS: readonly Operation[] = [
  {
    name: 'read by id',
    calls: 4_000,
    ours: (side, n) => side.store.nodes.get(far(side, n)),
    byHand: (side, n) => side.raw.node(far(side, n)),
  },
  {
    name: 'list a page of 100',
    calls: 50,
    ours: (side, n) => side.store.nodes.list({ after: far(side, n, 100), limit: 100 }),
    byHand: (side, n) => side.raw.nodes(far(side, n, 100), 100),
  },
  {
    name: 'stats()',
    calls: 1,
    ours: ({ store }) => store.stats(),
    byHand: ({ raw }) =>
      raw.raw
        .prepare(
          `SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM policies), (SELECT count(*) FROM path_cache),
            (SELECT count(*) FROM path_cache WHERE expires_at <= unixepoch())`,
        )
        .get(),
  },
  {
    name: 'open and first row',
    calls: 3,
    ours: async ({ file }) => {
      await using store = await openStorage(file)
      return store.nodes.list({ limit: 1 })
    },
    byHand: ({ file }) => {
      const raw = new RawStore(file, 'full')
      const rows = raw.nodes('', 1)
      raw.close()
      return rows
    },
  },
  {
    name: 'sweep, nothing expired',
    calls: 20,
    ours: ({ store }) => store.pathCache.sweep(),
    byHand: ({ raw }) => raw.raw.prepare('DELETE FROM path_cache WHERE expires_at <= unixepoch()').run(),
  },
  {
    name: 'backup',
    calls: 1,
    rounds: 3,
    ours: async ({ file, store }) => {
      await store.backup(`${file}.backup`)
      removeBackup(`${file}.backup`)
    },
    byHand: ({ file, raw }) => {
      raw.raw.prepare('VACUUM INTO ?').run(`${file}.backup`)
      removeBackup(`${file}.backup`)
    },
  },
]

/** With its manifest. */
function removeBackup(file: string): void {
  for (const each of globSync(`${file}*`)) rmSync(each)
}

/** Divides the time of a call in a large file by its time in a small one, and does the same for the raw driver. */
export const growth: Benchmark = {
  name: 'growth',
  run: async (context) => {
    const rows = context.quick ? ROWS.quick : context.long ? ROWS.long : ROWS.full
    context.progress(`writing ${rows.toLocaleString('en')} rows`)
    const open = async (name: string, count: number): Promise<Side> => {
      const file = await largeFile(newFile(context, name), count)
      return { file, rows: count, store: await openStorage(file), raw: new RawStore(file, 'full') }
    }
    const [small, big] = [await open('small', NODES), await open('big', rows)]
    try {
      const results: Result[] = []
      for (const operation of OPERATIONS) {
        context.progress(operation.name)
        results.push(await grown(operation, small, big, operation.rounds ?? (context.quick ? 10 : 40)))
      }
      return results
    } finally {
      for (const { store, raw } of [small, big]) {
        raw.close()
        await store.close()
      }
    }
  },
}

async function grown(
  { name, calls, ours, byHand }: Operation,
  small: Side,
  big: Side,
  rounds: number,
): Promise<Result> {
  const [us, raw]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    const nth = (n: number): number => round * calls + n
    const near = await eachAwaited(calls, (n) => ours(small, nth(n)))
    us.push((await eachAwaited(calls, (n) => ours(big, nth(n)))) / near)
    const before = each(calls, (n) => byHand(small, nth(n)))
    raw.push(each(calls, (n) => byHand(big, nth(n))) / before)
  }
  const [our, theirs] = [summaryOf(us), summaryOf(raw)]
  const ratio = summaryOf(us.map((grownBy, round) => grownBy / (raw[round] ?? Number.NaN)))
  const targets: Target[] = [atMost(LIMIT, ratio.p50, '×', `${LIMIT} × raw's growth`)]
  if (name === 'read by id')
    targets.unshift(atMost(READ_LIMIT, our.p50, '×', `${READ_LIMIT} × that at ${NODES.toLocaleString('en')}`))
  return { name: `${name} at ${big.rows.toLocaleString('en')} rows`, unit: '×', ours: our, raw: theirs, ratio, targets }
}
