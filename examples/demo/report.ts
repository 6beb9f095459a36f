/** The report for people, in 100 columns. */
import type { Durability } from '../../bench/raw-store.ts'
import type { BackupCheck } from './copies.ts'
import type { Crash } from './crash.ts'
import type { DemoReport } from './demo.ts'
import type { Timing } from './measure.ts'
import { count, type Loaded } from './mesh.ts'

/** Above it, a disk cannot be expected to hold 1 ms for a durable write. */
const SLOW_SYNC_MS = 0.5

export function backupLine({ backupMs, restoreMs, bytes, rows, hashesEqual, rowsEqual }: BackupCheck): string {
  const what = `${count(rows.nodes, 'node')}, ${count(rows.policies, 'policy', 'policies')}, ${count(rows.pathCache, 'bundle')}`
  const equal = hashesEqual && rowsEqual ? 'every row is equal' : 'WHAT WAS RESTORED DIFFERS'
  return `Backed up in ${backupMs.toFixed(0)} ms (${megabytes(bytes)}, verified), restored in ${restoreMs.toFixed(0)} ms: ${equal}
  ${what}, compared by hash and row by row`
}

export function diskLines({ sync, inMemory }: DemoReport['disk']): string {
  const lines = [
    `The disk by itself takes ${sync.p50.toFixed(2)} ms to append and sync 4 KiB (p99 ${sync.p99.toFixed(2)} ms).`,
  ]
  if (inMemory) lines.push('This folder is in memory: a sync does nothing here. Use --db with a file on a disk.')
  if (sync.p50 > SLOW_SYNC_MS) {
    lines.push(`That is slower than ${SLOW_SYNC_MS} ms: 1 ms for a durable write cannot be expected of it.`)
  }
  return lines.join('\n')
}

const WIDTH = { name: 26, target: 6, time: 7, met: 5 }

export function timingTable({ full, normal }: Record<Durability, readonly Timing[]>, loaded: Loaded): string {
  const nodes = loaded.nodes + loaded.filled.nodes
  const side = WIDTH.time * 4 + WIDTH.met
  const columns = (...texts: [string, string, string, string, string]): string =>
    texts.map((text, index) => (index < 4 ? text.padStart(WIDTH.time) : `  ${text}`.padEnd(WIDTH.met))).join('')
  const cellsOf = ({ store, raw, targetMs }: Timing): string => {
    const met = store.p99 < targetMs ? 'yes' : store.p50 < targetMs ? 'p50' : 'no'
    return columns(digits(store.p50), digits(store.p99), digits(raw.p50), digits(raw.p99), met)
  }
  const above = (left: string, right: string): string =>
    `${''.padEnd(WIDTH.name + WIDTH.target)}${`   ${left}`.padEnd(side)}   ${right}`
  const sides = `${'meshstore'.padEnd(WIDTH.time * 2)}raw driver`
  const titles = columns('p50', 'p99', 'p50', 'p99', 'met')
  const rows = full.map((timing, index) => {
    const { name, targetMs } = timing
    const beside = normal[index]
    const cells = `${cellsOf(timing)}${beside === undefined ? '' : cellsOf(beside)}`
    return `${name.padEnd(WIDTH.name)}${`< ${targetMs}`.padStart(WIDTH.target)}${cells}`
  })
  return [
    `Milliseconds at ${count(nodes, 'node')}: one caller, one call at a time, of each side in turn, warmed up`,
    above('on disk when acknowledged', "durability: 'normal'"),
    above(sides, sides),
    `${''.padEnd(WIDTH.name)}${'target'.padStart(WIDTH.target)}${titles}${titles}`,
    ...rows,
    'met: yes, the p99 is below the target; p50, only the median is; no, not even that. Policies: parsing',
    'the YAML and counting its rules is part of our time; the raw driver is given the number.',
  ]
    .map((line) => line.trimEnd())
    .join('\n')
}

/** Three digits behind the point, as long as there is room. */
const digits = (milliseconds: number): string =>
  milliseconds.toFixed(milliseconds < 10 ? 3 : milliseconds < 100 ? 2 : 1)

export function crashLines(crashes: readonly Crash[]): string {
  const sum = (of: 'acknowledged' | 'found' | 'unacknowledged' | 'unacknowledgedFound' | 'torn'): number =>
    crashes.reduce((total, one) => total + one[of], 0)
  const lost = sum('acknowledged') - sum('found')
  const [begun, there] = [sum('unacknowledged'), sum('unacknowledgedFound')]
  const integrity = [...new Set(crashes.map(({ integrity }) => integrity))].join(', ')
  return `Killed in the middle of its writes (SIGKILL, ${count(crashes.length, 'process', 'processes')}), and opened again:
  ${count(sum('acknowledged'), 'write')} acknowledged, ${sum('found').toLocaleString('en')} found, ${lost} lost
  ${begun} begun and not acknowledged, of which ${there} are there; ${count(sum('torn'), 'transaction')} in part; integrity_check: ${integrity}
  (That is a process that dies, not a power cut: npm run bench -- --only syncs counts the syncs.)`
}

export function ending(report: DemoReport, remains: string): string {
  const { file, bytes, loaded, sameAfterReopening, failures } = report
  const nodes = loaded.nodes + loaded.filled.nodes
  const windows = process.platform === 'win32'
  const remove = windows ? (remains === file ? 'del' : 'rmdir /s /q') : remains === file ? 'rm' : 'rm -r'
  const url = quoted(`sqlite:${file}`)
  const studio = windows ? `set DATABASE_URL=${url}&& npm run studio` : `DATABASE_URL=${url} npm run studio`
  return [
    `\nClosed and opened again: ${sameAfterReopening ? 'the same rows' : 'THE ROWS DIFFER'}`,
    '',
    `The database stays: ${file}`,
    `  ${megabytes(bytes)} in one file, ${count(nodes, 'node')}, ${count(loaded.policies.length, 'policy', 'policies')}, ${count(loaded.bundles, 'bundle')}`,
    `  look into it:  ${studio}`,
    `  remove it:     ${remove} ${quoted(remains)}`,
    ...failures.map((failure) => `\nFAILED: ${failure}`),
  ].join('\n')
}

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`
const quoted = (path: string): string => (/^[\w./:\\-]+$/.test(path) ? path : `"${path}"`)
