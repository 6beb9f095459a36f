/** Measures the cost, the delay and the restoring of a replica, beside Litestream in the same run. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
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
const IDLE_MS = 3_000
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
    const ours = [1_000, 5_000].map((rate) => ({ rate, by: 'ours' as const }))
    const results: Result[] = []
    for (const { rate, by } of ours) results.push(...(await rowsOf(context, rate, by)))
    const litestream = LITESTREAM.find((name) => spawnSync(name, ['version']).status === 0)
    if (litestream === undefined)
      return [...results, notMeasured('Litestream, 1,000/s', 'it is not here. Run node bench/install.ts.')]
    return [...results, ...(await rowsOf(context, 1_000, litestream))]
  },
}

const notMeasured = (name: string, why: string): Result => ({
  name,
  unit: '',
  ours: summaryOf([]),
  targets: [],
  notes: [`NOT MEASURED: ${why}`],
})

const figureOf = (value: number): Summary => summaryOf([value])

/** `by`: `'ours'`, or Litestream's program. */
async function rowsOf(context: Context, rate: number, by: string): Promise<Result[]> {
  const seconds = context.quick ? 4 : 20
  const isOurs = by === 'ours'
  const what = `${isOurs ? 'replica' : 'Litestream'}, ${rate.toLocaleString('en-US')}/s`
  const plain = await written(context, { rate, seconds })
  const { lags, bytes, cpuMs, writes, idleMs, restoreMs, rows } = await written(context, { rate, seconds, by })
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
      notes: writes < rate * seconds * 0.9 ? [`The machine wrote ${Math.round(writes / seconds)}/s.`] : undefined,
    },
    result('bytes a write', '', Math.round((bytes / writes) * 10) / 10),
    result('CPU a write', 'µs', ((cpuMs - plain.cpuMs * (writes / plain.writes)) / writes) * 1_000),
    result(
      'CPU of an idle second',
      'ms',
      idleMs,
      isOurs ? [atMost(MOST_IDLE_MS, idleMs, 'ms', `${MOST_IDLE_MS} ms`)] : [],
    ),
    result('restored', '/s', (rows / restoreMs) * 1_000),
  ]
}

interface Written {
  readonly lags: readonly number[]
  readonly bytes: number
  readonly writes: number
  /** Processor time of this process and of Litestream's. */
  readonly cpuMs: number
  readonly idleMs: number
  readonly restoreMs: number
  readonly rows: number
}

async function written(
  context: Context,
  { rate, seconds, by }: { readonly rate: number; readonly seconds: number; readonly by?: string },
): Promise<Written> {
  const file = newFile(context, 'replicated')
  const to = `${file}-replica`
  await using store = await openStorage({
    url: file,
    ...(by === 'ours' && { replicate: { to, everySeconds: EVERY_SECONDS } }),
  })
  await store.nodes.createMany(Array.from({ length: NODES }, (_, n) => nodeOf(n)))
  const program =
    by === undefined || by === 'ours' ? undefined : spawn(by, ['replicate', file, `file://${to}`], { stdio: 'ignore' })
  try {
    if (by === 'ours') await store.flushReplica()
    else if (program) await until(() => namesIn(to).some((name) => name.endsWith('.snapshot.lz4')))
    const bytesBefore = bytesIn(to)
    const cpu = (): number => used() + usedBy(program?.pid)
    const before = cpu()
    const acknowledged: number[] = []
    /** Moments up to which everything is in the place, and when that was seen. */
    const shipped: { readonly upTo: number; readonly seen: number }[] = []
    const look = async (): Promise<void> => {
      const upTo = program ? newestIn(to) : ((await store.health()).replication?.upTo?.getTime() ?? 0)
      if (upTo > (shipped.at(-1)?.upTo ?? 0)) shipped.push({ upTo, seen: Date.now() })
    }
    const begun = Date.now()
    for (let next = 0; Date.now() - begun < seconds * 1_000; ) {
      const due = Math.floor(((Date.now() - begun) * rate) / 1_000)
      const batch = Array.from({ length: Math.min(due - next, rate) }, () => next++)
      await Promise.all(batch.map((n) => store.nodes.update(nodeId(n % NODES), { routesDiscovered: n + 1 })))
      for (const _ of batch) acknowledged.push(Date.now())
      if (by !== undefined) await look()
      await new Promise((done) => setTimeout(done, TICK_MS))
    }
    const last = acknowledged.at(-1) ?? 0
    if (by !== undefined)
      await until(async () => {
        await look()
        return (shipped.at(-1)?.upTo ?? 0) >= last
      })
    const cpuMs = cpu() - before
    const bytes = bytesIn(to) - bytesBefore
    const idle = cpu()
    if (by !== undefined) await new Promise((done) => setTimeout(done, IDLE_MS))
    const idleMs = ((cpu() - idle) / IDLE_MS) * 1_000
    let at = 0
    const lags = acknowledged.map((time) => {
      while (at < shipped.length - 1 && (shipped[at]?.upTo ?? 0) < time) at++
      return (shipped[at]?.seen ?? Number.NaN) - time
    })
    const restoring = performance.now()
    if (by === 'ours') await run(process.execPath, [COMMAND, 'restore', '--from', to, '--to', `${file}-restored`])
    else if (program) await run(by ?? '', ['restore', '-o', `${file}-restored`, `file://${to}`])
    const restoreMs = performance.now() - restoring
    return { lags, bytes, writes: acknowledged.length, cpuMs, idleMs, restoreMs, rows: NODES + acknowledged.length }
  } finally {
    if (program?.exitCode === null) {
      program.kill('SIGINT')
      await once(program, 'exit')
    }
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((done) => setTimeout(done, TICK_MS))
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
