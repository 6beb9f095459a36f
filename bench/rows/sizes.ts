/** The time of the same calls as the file grows: nodes, then cached paths. */
import { statSync } from 'node:fs'
import type { Meshstore } from '../../src/index.ts'
import { childPath, runNode } from '../child.ts'
import { eachAwaited } from '../compare.ts'
import type { Cell, ComparisonTable, TableRow } from '../comparison-table.ts'
import { contest } from '../contest.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { largeFile, nodeId, nodeOf } from '../data.ts'
import { libraryPath } from '../driver.ts'
import { largeCache, pathKey } from '../large-cache.ts'
import { openStorage } from '../library.ts'
import type { Unit } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const NODES = { quick: [5_000, 50_000], full: [5_000, 50_000, 200_000], long: [5_000, 50_000, 500_000, 2_000_000] }
const PATHS = { quick: [5_000, 50_000], full: [5_000, 50_000, 200_000], long: [5_000, 50_000, 500_000, 5_000_000] }
const ROUNDS = { quick: 5, full: 20 }
const CALLS = { read: 1_000, page: 50, write: 40 }
/** Multiplied by n modulo the number of rows: far apart, and each another one. */
const STRIDE = 1_299_709
const MB = 1_000_000
const MICROSECONDS = 1_000

interface Grown {
  readonly size: number
  readonly file: string
  readonly store: Meshstore
}
type Call = (grown: Grown, n: number) => Promise<unknown>
interface Measured {
  readonly name: string
  readonly calls: number
  readonly call: Call
}

const ofNodes: readonly Measured[] = [
  { name: 'read by id', calls: CALLS.read, call: ({ store, size }, n) => store.nodes.get(nodeId((n * STRIDE) % size)) },
  {
    name: 'list a page of 100',
    calls: CALLS.page,
    call: ({ store, size }, n) => store.nodes.list({ after: nodeId((n * STRIDE) % (size - 100)), limit: 100 }),
  },
  {
    name: 'insert, durable',
    calls: CALLS.write,
    call: ({ store }, n) => store.nodes.create(nodeOf(n, `new-${(n * STRIDE) % 10_000_000}`)),
  },
  {
    name: 'update, durable',
    calls: CALLS.write,
    call: ({ store, size }, n) => store.nodes.update(nodeId((n * STRIDE) % size), { routesDiscovered: n }),
  },
]

const ofPaths: readonly Measured[] = [
  { name: 'hit', calls: CALLS.read, call: ({ store, size }, n) => store.pathCache.get(pathKey((n * STRIDE) % size)) },
  { name: 'miss', calls: CALLS.read, call: ({ store, size }, n) => store.pathCache.get(pathKey(size + n)) },
  {
    name: 'store, durable',
    calls: CALLS.write,
    call: ({ store, size }, n) => {
      const key = pathKey((n * STRIDE) % size)
      const bundle = { ...key, primary: [{ nodes: [key.source, key.destination], total_weight: n }] }
      return store.pathCache.set(key, bundle, { ttlSeconds: 86_400 })
    },
  },
]

export const sizes: Benchmark = {
  name: 'sizes',
  run: async (context) => {
    const form = context.quick ? 'quick' : context.long ? 'long' : 'full'
    return [
      await grown(context, 'SQLite: as the nodes grow', NODES[form], largeFile, ofNodes),
      await grown(context, 'SQLite: as the cached paths grow', PATHS[form], largeCache, ofPaths),
    ]
  },
}

async function grown(
  context: Context,
  title: string,
  counts: readonly number[],
  make: (file: string, count: number) => Promise<string>,
  calls: readonly Measured[],
): Promise<ComparisonTable> {
  const files: Grown[] = []
  try {
    for (const size of counts) {
      context.progress(`writing ${size.toLocaleString('en')} rows`)
      const file = await make(newFile(context, 'grown'), size)
      // A cache of this size is meant: nothing is evicted while it is measured.
      const pathCache = { maxEntries: 10_000_000, sweepSeconds: 86_400 }
      files.push({ size, file, store: await openStorage({ url: file, pathCache }) })
    }
    for (const each of files) await hasAllOf(each)
    const bytes = files.map(({ file }) => statSync(file).size / MB)
    const rows: TableRow[] = []
    for (const { name, calls: count, call } of calls) {
      context.progress(name)
      const rounds = files.map((each) => async (round: number) => {
        return (await eachAwaited(count, (n) => call(each, round * count + n))) * MICROSECONDS
      })
      const cells = await contest(rounds, { warmUp: 1, count: context.quick ? ROUNDS.quick : ROUNDS.full })
      rows.push({ name, unit: 'µs', cells })
    }
    rows.push(once('file', 'MB', bytes))
    rows.push(once('memory after 10,000 reads', 'MB', await resident(files)))
    return { title, columns: counts.map((count) => count.toLocaleString('en')), rows, notes: [], peers: false }
  } finally {
    for (const { store } of files) await store.close()
  }
}

/** The rows must be there: a miss is quicker than a hit. */
async function hasAllOf({ store, size }: Grown): Promise<void> {
  const last = [await store.nodes.get(nodeId(size - 1)), await store.pathCache.get(pathKey(size - 1))]
  if (last.every((found) => found === undefined)) throw new Error(`Not all of ${size} rows are there.`)
}

/** Resident memory of a process of its own for each file. */
async function resident(files: readonly Grown[]): Promise<number[]> {
  const bytes: number[] = []
  for (const { file } of files) {
    const { stdout } = await runNode([childPath('memory.mjs'), libraryPath, file, 'reads', '10000'])
    bytes.push(JSON.parse(stdout).resident / MB)
  }
  return bytes
}

function once(name: string, unit: Unit, figures: readonly number[]): TableRow {
  const [first = Number.NaN] = figures
  const cells = figures.map((figure, n): Cell => {
    return { value: summaryOf([figure]), ratio: n === 0 ? undefined : summaryOf([figure / first]) }
  })
  return { name, unit, cells }
}
