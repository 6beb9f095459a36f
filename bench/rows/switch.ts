import type { Meshstore } from '../../src/index.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { filledFile, NODES, nodeOf } from '../data.ts'
import { openStorage } from '../library.ts'
import { NoServer, withDatabase, withServer } from '../postgres-server.ts'
import { atMost, type Result } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const WRITES_PER_SECOND = 500
const TICK_MS = 10
const MOST_PAUSE_MS = 250
const BEFORE_AND_AFTER_MS = 1_000
const ROW = 'live switch to PostgreSQL, 500 writes/s: longest write'

type Move = (url: string) => Promise<unknown>

/** A store that is moved to PostgreSQL while an application writes. */
export const liveSwitch: Benchmark = {
  name: 'switch',
  run: async (context) => {
    try {
      return [await withServer((server) => withDatabase(server, (url) => moved(context, url)))]
    } catch (error) {
      if (!(error instanceof NoServer)) throw error
      return [notMeasured(error.message)]
    }
  },
}

const notMeasured = (why: string): Result => {
  return { name: ROW, unit: 'ms', ours: summaryOf([]), targets: [], notes: [`NOT MEASURED: ${why}`] }
}

async function moved(context: Context, url: string): Promise<Result> {
  await using store = await openStorage(await filledFile(newFile(context, 'switch')))
  const moveTo = moveOf(store)
  if (moveTo === undefined) return notMeasured('this version has no moveTo().')
  let stopped = false
  const writing = writer(store, () => stopped)
  await pause(BEFORE_AND_AFTER_MS)
  await moveTo(url)
  await pause(BEFORE_AND_AFTER_MS)
  stopped = true
  const { times, failed, acknowledged } = await writing
  const lost = acknowledged - ((await store.nodes.count()) - NODES)
  const longest = Math.max(...times)
  return {
    name: ROW,
    unit: 'ms',
    ours: summaryOf([longest]),
    targets: [
      atMost(MOST_PAUSE_MS, longest, 'ms', `${MOST_PAUSE_MS} ms`),
      atMost(0, failed, '', '0 failed'),
      atMost(0, lost, '', '0 lost'),
    ],
    notes: [`${times.length.toLocaleString('en')} writes.`],
  }
}

function moveOf(store: Meshstore): Move | undefined {
  const found: unknown = Reflect.get(store, 'moveTo')
  return typeof found === 'function' ? (url) => found.call(store, url) : undefined
}

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds))

/** Inserts at a steady rate, whatever becomes of those before. */
async function writer(store: Meshstore, stopped: () => boolean) {
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
  return { times, failed, acknowledged: times.length - failed }
}
