/** A fault under load, and what it came to. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Cluster, Via } from './cluster.ts'
import type { Fault } from './faults.ts'
import type { LoadOptions, LoadReport } from './load-messages.ts'
import { LoadProcess } from './load-process.ts'
import { Probe } from './probe.ts'

export const ROOT = join(import.meta.dirname, '../../..')

export interface Drill {
  readonly fault: Fault
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

export interface Came extends LoadReport {
  readonly fault: string
  readonly via: Via
  /** How long the cluster itself took no write. */
  readonly clusterGapMs: number
  /** How much later the load wrote again than the cluster could. */
  readonly resumedMs: number
}

/** Writes before and after the fault. */
const BEFORE = 300
const AFTER = 300

export async function drill(cluster: Cluster, drill: Drill): Promise<Came> {
  const { fault, via, turn, rate, options = {}, root = ROOT, longestMs = 180_000 } = drill
  await cluster.configure({ synchronous: fault.synchronous, failsafe: fault.failsafe ?? false })
  await cluster.settled()
  const database = await cluster.createDatabase()
  const run = `r${randomBytes(3).toString('hex')}`
  const checkUrl = cluster.url(database, 'haproxy')
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
  await load.progress(BEFORE)
  if (fault.lossy) load.say('lossy')
  load.say('fault')
  await fault.strike(cluster, load)
  await load.progress(AFTER).catch((error: unknown) => console.warn(`${fault.name}: ${error}`))
  await cluster.settled()
  const report = await load.stop()
  const { gapMs, gapEnd } = probe.longest()
  return { ...report, fault: fault.name, via, clusterGapMs: gapMs, resumedMs: report.gapEnd - gapEnd }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

export function row(came: Came): string {
  const { errors, listeners } = came
  const failed = Object.entries(errors).map(([code, count]) => `${count} ${code}`)
  const heard = listeners.map(({ missed, ghosts, told }) => `${missed}+${ghosts} missed, told ${told} times`)
  return [
    `${came.fault}, ${came.via}: no write for ${seconds(came.gapMs)} (the cluster took none for ${seconds(came.clusterGapMs)},`,
    `the load wrote ${came.resumedMs} ms after that), longest call ${seconds(came.longestMs)} (${came.longest});`,
    `${came.calls} calls, ${failed.join(', ') || '0 errors'}; ${came.lost} of ${came.acknowledged} acknowledged lost,`,
    `${came.refusedButThere} refused and there, ${came.wrongCounters.length} counters wrong, ${came.stuck} stuck;`,
    `subscribers: ${heard.join('; ')}${came.deaf ? `; ${came.deaf} DEAF` : ''}; ${came.stale} stale of ${came.hits} cached paths`,
  ].join(' ')
}

/** For the table of docs/guarantees.md. */
export const inBrief = ({ fault, via, gapMs, lost, acknowledged, doubtful, calls, errors }: Came): string =>
  `${fault}, ${via}: no write for ${seconds(gapMs)}, ${lost} of ${acknowledged} lost, ${doubtful} unknown, ${Object.values(errors).reduce((sum, count) => sum + count, 0)} of ${calls} calls failed`
