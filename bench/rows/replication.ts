/** Measures the cost, the delay and the restoring of a replica, beside Litestream in the same run. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Meshstore } from '../../src/index.ts'
import { run } from '../child.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { NODES, nodeId, nodeOf } from '../data.ts'
import { libraryPath } from '../driver.ts'
import { openStorage } from '../library.ts'
import { atMost, type Result } from '../result.ts'
import { type Summary, summaryOf } from '../statistics.ts'

const EVERY_SECONDS = 1
const MOST_LAG_MS = EVERY_SECONDS * 1_000 + 500
const TICK_MS = 10
const FILLED_AT_ONCE = 5_000
const RATES = [1_000, 5_000]
/** Processor time of an idle second, in milliseconds. */
const MOST_IDLE_MS = 5
const COMMAND = libraryPath.replace(/dist\/index\.js$/, 'dist/cli.js').replace(/src\/index\.ts$/, 'src/cli/main.ts')
const LITESTREAM = [
  'litestream',
  join(import.meta.dirname, '../node_modules/@flydotio/litestream-linux-x64/litestream'),
]

export const replication: Benchmark = {
  name: 'replication',
  run: async (context) => {
    const litestream = LITESTREAM.find((name) => spawnSync(name, ['version']).status === 0)
    const ours = await resultsOf(context, RATES, 'ours')
    if (litestream === undefined)
      return [...ours, notMeasured('Litestream', 'it is not here. Run node bench/install.ts.')]
    return [...ours, ...(await resultsOf(context, context.quick ? RATES.slice(0, 1) : RATES, litestream))]
  },
}

async function resultsOf(context: Context, rates: readonly number[], by: string): Promise<Result[]> {
  const results: Result[] = []
  for (const rate of rates) results.push(...(await rowsOf(context, rate, by)))
  return [...results, await restoredBy(context, by)]
}

const notMeasured = (name: string, why: string): Result => ({
  name,
  unit: '',
  ours: summaryOf([]),
  targets: [],
  notes: [`NOT MEASURED: ${why}`],
})

const figureOf = (value: number): Summary => summaryOf([value])
const nameOf = (by: string): string => (by === 'ours' ? 'replica' : 'Litestream')

/** `by`: `'ours'`, or Litestream's program. */
async function rowsOf(context: Context, rate: number, by: string): Promise<Result[]> {
  const seconds = context.quick ? 2 : 20
  const isOurs = by === 'ours'
  const what = `${nameOf(by)}, ${rate.toLocaleString('en-US')}/s`
  const plain = await written(context, { rate, seconds })
  const { lags, acknowledged } = await written(context, { rate, seconds, by, looks: true })
  const { bytes, cpuMs, writes, idleMs } = await written(context, { rate, seconds, by })
  // A process that wrote much collects its garbage afterwards, with a replica or without.
  const idleAdded = Math.max(0, idleMs - plain.idleMs)
  const lag = summaryOf(lags)
  const result = (name: string, unit: Result['unit'], value: number, targets: Result['targets'] = []): Result => ({
    name: `${what}: ${name}`,
    unit,
    ours: figureOf(value),
    targets,
  })
  return [
    {
      name: `${what}: lag`,
      unit: 'ms',
      ours: lag,
      targets: isOurs ? [atMost(MOST_LAG_MS, lag.p99, 'ms', `p99 ${MOST_LAG_MS} ms`)] : [],
      notes:
        acknowledged < rate * seconds * 0.9
          ? [`The machine wrote ${Math.round(acknowledged / seconds)}/s.`]
          : undefined,
    },
    result('bytes a write', '', Math.round((bytes / writes) * 10) / 10),
    result('CPU of a write without it', 'µs', (plain.cpuMs / plain.writes) * 1_000),
    result('CPU that it adds to a write', 'µs', ((cpuMs - plain.cpuMs * (writes / plain.writes)) / writes) * 1_000),
    result(
      'CPU that it adds to an idle second',
      'ms',
      idleAdded,
      isOurs ? [atMost(MOST_IDLE_MS, idleAdded, 'ms', `${MOST_IDLE_MS} ms`)] : [],
    ),
  ]
}

interface Asked {
  readonly rate: number
  readonly seconds: number
  readonly by?: string
  /** Measures the lag. To look takes processor time of its own: `health()` writes a row. */
  readonly looks?: boolean
}

interface Written {
  readonly lags: readonly number[]
  readonly acknowledged: number
  readonly bytes: number
  readonly writes: number
  /** Processor time of this process and of Litestream's. */
  readonly cpuMs: number
  readonly idleMs: number
}

async function written(context: Context, { rate, seconds, by, looks = false }: Asked): Promise<Written> {
  await using replicated = await opened(context, by, NODES)
  const { store, to, pid, newest, shipped: everything } = replicated
  const bytesBefore = bytesIn(to)
  const cpu = (): number => used() + usedBy(pid)
  const before = cpu()
  const acknowledged: number[] = []
  /** Moments up to which everything is in the place, and when that was seen. */
  const shipped: { readonly upTo: number; readonly seen: number }[] = []
  const look = async (): Promise<void> => {
    const upTo = await newest()
    if (upTo > (shipped.at(-1)?.upTo ?? 0)) shipped.push({ upTo, seen: Date.now() })
  }
  const begun = Date.now()
  for (let next = 0; Date.now() - begun < seconds * 1_000; ) {
    const due = Math.floor(((Date.now() - begun) * rate) / 1_000)
    const batch = Array.from({ length: Math.min(due - next, rate) }, () => next++)
    await Promise.all(batch.map((n) => store.nodes.update(nodeId(n % NODES), { routesDiscovered: n + 1 })))
    for (const _ of batch) acknowledged.push(Date.now())
    if (looks) await look()
    await new Promise((done) => setTimeout(done, TICK_MS))
  }
  const last = acknowledged.at(-1) ?? 0
  if (looks)
    await until(async () => {
      await look()
      return (shipped.at(-1)?.upTo ?? 0) >= last
    })
  else await everything(last)
  const cpuMs = cpu() - before
  const bytes = bytesIn(to) - bytesBefore
  const idle = cpu()
  const idleSeconds = looks ? 0 : context.quick ? 1.5 : 10
  await new Promise((done) => setTimeout(done, idleSeconds * 1_000))
  const idleMs = (cpu() - idle) / idleSeconds
  let at = 0
  const lags = acknowledged.map((time) => {
    while (at < shipped.length - 1 && (shipped[at]?.upTo ?? 0) < time) at++
    return (shipped[at]?.seen ?? Number.NaN) - time
  })
  return { lags, acknowledged: acknowledged.length, bytes, writes: acknowledged.length, cpuMs, idleMs }
}

/** A larger file: a process takes some 0.2 s before it restores anything. */
async function restoredBy(context: Context, by: string): Promise<Result> {
  const rows = context.quick ? 20_000 : 200_000
  const replicated = await opened(context, by, rows)
  const { file, to } = replicated
  await replicated[Symbol.asyncDispose]()
  const restoring = performance.now()
  if (by === 'ours') await run(process.execPath, [COMMAND, 'restore', '--from', to, '--to', `${file}-restored`])
  else await run(by, ['restore', '-o', `${file}-restored`, `file://${to}`])
  const restoreMs = performance.now() - restoring
  return {
    name: `${nameOf(by)}: ${rows.toLocaleString('en-US')} rows restored`,
    unit: '/s',
    ours: figureOf((rows / restoreMs) * 1_000),
    targets: [],
  }
}

interface Opened extends AsyncDisposable {
  readonly store: Meshstore
  readonly file: string
  readonly to: string
  /** Litestream's process. */
  readonly pid: number | undefined
  /** The moment up to which everything is in the place, in milliseconds. */
  readonly newest: () => Promise<number>
  /** Resolves when everything that was committed up to a moment is in the place. */
  readonly shipped: (upTo: number) => Promise<void>
}

/** A file with nodes, which are in the place. `by`: none, `'ours'`, or Litestream's program. */
async function opened(context: Context, by: string | undefined, nodes: number): Promise<Opened> {
  const file = newFile(context, 'replicated')
  const to = `${file}-replica`
  const isOurs = by === 'ours'
  const store = await openStorage({ url: file, ...(isOurs && { replicate: { to, everySeconds: EVERY_SECONDS } }) })
  for (let n = 0; n < nodes; n += FILLED_AT_ONCE)
    await store.nodes.createMany(
      Array.from({ length: Math.min(FILLED_AT_ONCE, nodes - n) }, (_, each) => nodeOf(n + each)),
    )
  const program =
    by === undefined || isOurs ? undefined : spawn(by, ['replicate', file, `file://${to}`], { stdio: 'ignore' })
  if (isOurs) await store.flushReplica()
  else if (program) await until(() => namesIn(to).some((name) => name.endsWith('.snapshot.lz4')))
  return {
    store,
    file,
    to,
    pid: program?.pid,
    newest: async () => (program ? newestIn(to) : ((await store.health()).replication?.upTo?.getTime() ?? 0)),
    shipped: async (upTo) => {
      if (isOurs) await store.flushReplica()
      else if (program) await until(() => newestIn(to) >= upTo, 10 * TICK_MS)
    },
    [Symbol.asyncDispose]: async () => {
      if (program?.exitCode === null) {
        program.kill('SIGINT')
        await once(program, 'exit')
      }
      await store.close()
    },
  }
}

async function until(condition: () => boolean | Promise<boolean>, everyMs = TICK_MS): Promise<void> {
  while (!(await condition())) await new Promise((done) => setTimeout(done, everyMs))
}

const namesIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name))
    : []
const bytesIn = (folder: string): number =>
  namesIn(folder).reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0)
/** Litestream reads everything that is committed, then writes a file. */
const newestIn = (folder: string): number =>
  Math.max(0, ...namesIn(folder).map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0))

const used = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** Processor time of another process, in milliseconds; Linux counts in hundredths of a second. */
function usedBy(pid: number | undefined): number {
  if (pid === undefined || !existsSync(`/proc/${pid}/stat`)) return 0
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}
