/** A fault under load, and what it came to. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Cluster, Via } from './cluster.ts'
import type { Fault } from './faults.ts'
import type { LoadOptions, LoadReport } from './load-messages.ts'
import { LoadProcess } from './load-process.ts'
import { Probe } from './probe.ts'
import type { Gap } from './truth.ts'

export const ROOT = join(import.meta.dirname, '../../..')

export interface Drill {
  readonly fault: Fault
  /** Further faults under the same load, one after the other. */
  readonly then?: readonly Fault[]
  readonly via: Via
  /** Calls a second. */
  readonly rate: number
  readonly options?: LoadOptions
  /** The tree whose source is loaded: by default this one. */
  readonly root?: string
  /** Which host of the URL comes first. */
  readonly turn?: number
  /** How long a call may take at most, before it counts as stuck. */
  readonly longestMs?: number
}

export interface Struck {
  readonly fault: string
  /** The longest time in which no write of the load succeeded. */
  readonly gapMs: number
  /** How long the cluster itself took no write. */
  readonly clusterGapMs: number
  /** How much later the load wrote again than the cluster could. */
  readonly resumedMs: number
}

export interface Came extends LoadReport, Struck {
  readonly via: Via
  /** One for each fault. The figures of the first are this object's own, too. */
  readonly struck: readonly Struck[]
}

/** Writes after the fault. */
const AFTER = 100

export async function drill(cluster: Cluster, drill: Drill): Promise<Came> {
  const { fault, then = [], via, turn, rate, options = {}, root = ROOT, longestMs = 180_000 } = drill
  await cluster.configure({ synchronous: fault.synchronous, failsafe: fault.failsafe ?? false })
  await cluster.settled()
  const database = await cluster.createDatabase()
  const run = `r${randomBytes(3).toString('hex')}`
  const checkUrl = `${cluster.url(database, 'haproxy')}?connect_timeout=120`
  using probe = await Probe.start(cluster)
  using load = await LoadProcess.start({
    root,
    url: cluster.url(database, via, turn),
    checkUrl,
    options,
    rate,
    run,
    longestMs,
  })
  // Node compiles what the load runs during the first second.
  await load.progress(rate)
  load.say('warm')
  await load.progress(2 * rate)
  if (fault.lossy) load.say('lossy')
  load.say('fault')
  const windows: { readonly fault: string; readonly from: number; readonly to: number }[] = []
  for (const each of [fault, ...then]) {
    const from = Date.now()
    await each.strike(cluster, load)
    await load.progress(AFTER).catch((error: unknown) => console.warn(`${each.name}: ${error}`))
    await cluster.settled()
    windows.push({ fault: each.name, from, to: Date.now() })
  }
  const report = await load.stop()
  const struck = windows.map(({ fault, from, to }): Struck => {
    const ofCluster = probe.longest(from, to)
    const gaps = report.gaps.filter(({ end }) => from <= end && end <= to)
    const beginning = ofCluster.end - ofCluster.ms
    const same = gaps.filter(({ ms, end }) => end - ms < ofCluster.end && end > beginning).toSorted(byLength)[0]
    return {
      fault,
      gapMs: gaps.toSorted(byLength)[0]?.ms ?? 0,
      clusterGapMs: ofCluster.ms,
      resumedMs: same === undefined ? 0 : same.end - ofCluster.end,
    }
  })
  return { ...report, ...(struck[0] as Struck), via, struck }
}

const byLength = (one: Gap, other: Gap): number => other.ms - one.ms

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

export function row(came: Came): string {
  const { errors, listeners } = came
  const failed = Object.entries(errors).map(([code, count]) => `${count} ${code}`)
  const heard = listeners.map(({ missed, ghosts, told }) => `${missed}+${ghosts} missed, told ${told} times`)
  const gaps = came.struck.map(
    ({ fault, gapMs, clusterGapMs, resumedMs }) =>
      `${fault}, ${came.via}: no write for ${seconds(gapMs)} (the cluster took none for ${seconds(clusterGapMs)}, the load wrote ${resumedMs} ms after that)`,
  )
  return [
    `${gaps.join('; ')}, longest call ${seconds(came.longestMs)} (${came.longest});`,
    `${Math.round(came.rate)} writes a second before it; ${came.calls} calls, ${failed.join(', ') || '0 errors'}; ${came.lost} of ${came.acknowledged} acknowledged lost,`,
    `${came.refusedButThere} refused and there, ${came.wrongCounters.length} counters wrong, ${came.stuck} stuck;`,
    `subscribers: ${heard.join('; ')}${came.deaf ? `; ${came.deaf} DEAF` : ''}; ${came.stale} stale of ${came.hits} cached paths`,
  ].join(' ')
}

/** For the table of docs/guarantees.md. */
export const inBrief = ({ fault, via, gapMs, lost, acknowledged, doubtful, calls, errors }: Came): string =>
  `${fault}, ${via}: no write for ${seconds(gapMs)}, ${lost} of ${acknowledged} lost, ${doubtful} unknown, ${Object.values(errors).reduce((sum, count) => sum + count, 0)} of ${calls} calls failed`
