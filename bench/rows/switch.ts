import type { Meshstore } from '../../src/index.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { filledFile, NODES, nodeOf } from '../data.ts'
import { openStorage } from '../library.ts'
import { NoServer, withDatabase, withServer } from '../postgres-server.ts'
import { atMost, type Result, type Target } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const WRITES_PER_SECOND = 500
const TICK_MS = 10
const MOST_PAUSE_MS = 250
const BEFORE_AND_AFTER_MS = 500
const MOVES = { quick: 1, full: 5 }
const ROW = 'live switch, 500 writes/s: longest'

/** A store with 5,000 nodes is moved to PostgreSQL while an application writes: what its callers see of it. */
export const liveSwitch: Benchmark = {
  name: 'switch',
  run: async (context) => {
    try {
      return [await withServer((server) => moves(context, (work) => withDatabase(server, work)))]
    } catch (error) {
      if (!(error instanceof NoServer)) throw error
      return [{ name: ROW, unit: 'ms', ours: summaryOf([]), targets: [], notes: [`NOT MEASURED: ${error.message}`] }]
    }
  },
}

interface Moved {
  readonly writes: number
  readonly longestMs: number
  readonly failed: number
  readonly lost: number
}

async function moves(
  context: Context,
  withTarget: (work: (url: string) => Promise<Moved>) => Promise<Moved>,
): Promise<Result> {
  const all: Moved[] = []
  for (let move = 0; move < (context.quick ? MOVES.quick : MOVES.full); move++) {
    all.push(await withTarget((url) => moved(context, url)))
  }
  const longest = summaryOf(all.map(({ longestMs }) => longestMs))
  const sum = (of: (each: Moved) => number): number => all.reduce((total, each) => total + of(each), 0)
  const none = (text: string, value: number): Target => ({ text, value, unit: '', met: value === 0 })
  return {
    name: ROW,
    unit: 'ms',
    ours: longest,
    targets: [
      atMost(MOST_PAUSE_MS, longest.p50, 'ms', `${MOST_PAUSE_MS} ms`),
      none(
        '0 failed',
        sum(({ failed }) => failed),
      ),
      none(
        '0 lost',
        sum(({ lost }) => lost),
      ),
    ],
    notes: [`${all.length} moves, ${sum(({ writes }) => writes).toLocaleString('en')} writes.`],
  }
}

async function moved(context: Context, url: string): Promise<Moved> {
  await using store = await openStorage(await filledFile(newFile(context, 'switch')))
  let stopped = false
  const writing = writesSteadily(store, () => stopped)
  await pause(BEFORE_AND_AFTER_MS)
  await store.moveTo(url)
  await pause(BEFORE_AND_AFTER_MS)
  stopped = true
  const { times, failed } = await writing
  const acknowledged = times.length - failed
  const lost = acknowledged - ((await store.nodes.count()) - NODES)
  return { writes: times.length, longestMs: Math.max(...times), failed, lost }
}

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds))

/** Inserts at a steady rate, whatever becomes of those before. */
async function writesSteadily(store: Meshstore, stopped: () => boolean): Promise<{ times: number[]; failed: number }> {
  const times: number[] = []
  const waiting: Promise<void>[] = []
  let failed = 0
  const write = async (n: number): Promise<void> => {
    const begun = performance.now()
    try {
      await store.nodes.create(nodeOf(n, `switch-${n}`))
    } catch {
      failed++
    }
    times.push(performance.now() - begun)
  }
  const begun = performance.now()
  for (let n = 0; !stopped(); await pause(TICK_MS)) {
    const due = ((performance.now() - begun) * WRITES_PER_SECOND) / 1_000
    while (n < due) waiting.push(write(n++))
  }
  await Promise.all(waiting)
  return { times, failed }
}
