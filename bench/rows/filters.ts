/** The benchmark measures filters as the nodes grow, and how long reads hold the event loop. */
import type { Meshstore } from '../../src/index.ts'
import type { Benchmark, Context } from '../context.ts'
import { newFile } from '../context.ts'
import { largeFile, NODES, nodeOf } from '../data.ts'
import { openStorage } from '../library.ts'
import { NoServer, withDatabase, withServer } from '../postgres-server.ts'
import { atMost, type Result } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const ROWS = { quick: 50_000, full: 1_000_000 }
const BATCH = 10_000
/** A page by a filter must cost what it returns, however many nodes there are. */
const GROWTH_LIMIT = 1.5
const TURN_LIMIT_MS = 10

type Filter = Parameters<Meshstore['nodes']['iterate']>[0]

/** Microseconds for each node that comes. */
async function perNode(store: Meshstore, filter: Filter): Promise<number> {
  const begun = performance.now()
  let count = 0
  for await (const _ of store.nodes.iterate(filter)) count++
  return ((performance.now() - begun) * 1_000) / count
}

async function growthOf(name: string, small: Meshstore, big: Meshstore, { quick, progress }: Context): Promise<Result> {
  progress(name)
  const ratios: number[] = []
  for (let round = 0; round < (quick ? 3 : 7); round++) {
    const near = await perNode(small, { started: true })
    ratios.push((await perNode(big, { started: true })) / near)
  }
  const ours = summaryOf(ratios)
  const target = atMost(GROWTH_LIMIT, ours.p50, '×', `${GROWTH_LIMIT} × that at ${NODES.toLocaleString('en')}`)
  return { name, unit: '×', ours, targets: [target] }
}

/** The longest turn of the event loop while the work goes on, in milliseconds. */
async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let last = performance.now()
  let isDone = false
  const turn = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (!isDone) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  isDone = true
  turn()
  return longest
}

async function turnsOf(store: Meshstore, { quick, progress }: Context): Promise<Result[]> {
  const reads: Readonly<Record<string, () => Promise<unknown>>> = {
    'iterate()': () => perNode(store, {}),
    'a filter that nothing matches': () => store.nodes.list({ protocol: 'none' }),
    'list() of 10,000': () => store.nodes.list({ limit: 10_000 }),
  }
  const results: Result[] = []
  for (const [what, read] of Object.entries(reads)) {
    const name = `longest turn: ${what}`
    progress(name)
    const turns: number[] = []
    for (let round = 0; round < (quick ? 3 : 7); round++) turns.push(await longestTurn(read))
    const ours = summaryOf(turns)
    results.push({ name, unit: 'ms', ours, targets: [atMost(TURN_LIMIT_MS, ours.p50, 'ms', `${TURN_LIMIT_MS} ms`)] })
  }
  return results
}

async function onPostgres(context: Context, rows: number): Promise<Result> {
  const name = `PostgreSQL: iterate({ started }) at ${rows.toLocaleString('en')} rows`
  const filled = async (url: string, count: number): Promise<Meshstore> => {
    const store = await openStorage(url)
    for (let first = 0; first < count; first += BATCH) {
      const size = Math.min(BATCH, count - first)
      await store.nodes.createMany(Array.from({ length: size }, (_, n) => nodeOf(first + n)))
    }
    return store
  }
  try {
    return await withServer((server) =>
      withDatabase(server, (few) =>
        withDatabase(server, async (many) => {
          context.progress(`${name}: writing`)
          await using small = await filled(few, NODES)
          await using big = await filled(many, rows)
          return await growthOf(name, small, big, context)
        }),
      ),
    )
  } catch (error) {
    if (!(error instanceof NoServer)) throw error
    return { name, unit: '', ours: summaryOf([]), targets: [], notes: [`NOT MEASURED: ${error.message}`] }
  }
}

export const filters: Benchmark = {
  name: 'filters',
  run: async (context) => {
    const rows = context.quick ? ROWS.quick : ROWS.full
    context.progress(`writing ${rows.toLocaleString('en')} rows`)
    await using small = await openStorage(await largeFile(newFile(context, 'few'), NODES))
    await using big = await openStorage(await largeFile(newFile(context, 'many'), rows))
    return [
      await growthOf(`iterate({ started }) at ${rows.toLocaleString('en')} rows`, small, big, context),
      await onPostgres(context, rows),
      ...(await turnsOf(big, context)),
    ]
  },
}
