/**
 * `node bench/instrumented.ts [ROUNDS]`: what the metrics of meshstore/opentelemetry cost a read by key and a durable write. Rounds
 * with and without them alternate in one process; processor time is compared.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { type Meshstore, openStorage } from '../src/index.ts'
import { instrument } from '../src/opentelemetry-entry.ts'
import { medianOf } from './statistics.ts'

const ROUNDS = Number(process.argv[2] ?? 20)
const READS = 50_000
const WRITES = 300
const MODES = ['none', 'the default', "the SDK's histogram", 'statements: false'] as const
const node = { nodeId: 'gw-1', interfaces: ['eth0'], protocols: ['batman-adv'] }

function recording(store: Meshstore, mode: (typeof MODES)[number]): Disposable {
  if (mode === 'none') return { [Symbol.dispose]() {} }
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  if (mode === 'the default') return instrument(store, { meterProvider })
  if (mode === 'statements: false') return instrument(store, { meterProvider, statements: false })
  // The library sums nothing up for a provider that it does not know.
  return instrument(store, { meterProvider: { getMeter: (...of) => meterProvider.getMeter(...of) } })
}

/** Microseconds of processor time for each. */
async function cpuOf(count: number, work: (at: number) => Promise<unknown>): Promise<number> {
  const begun = process.cpuUsage()
  for (let at = 0; at < count; at++) await work(at)
  const { user, system } = process.cpuUsage(begun)
  return (user + system) / count
}

const folder = mkdtempSync(join(tmpdir(), 'meshstore-instrumented-'))
try {
  await using store = await openStorage(join(folder, 'mesh.db'))
  await store.nodes.create(node)
  const reads = new Map<string, number[]>(MODES.map((mode) => [mode, []]))
  const writes = new Map<string, number[]>(MODES.map((mode) => [mode, []]))
  for (let round = 0; round <= ROUNDS; round++) {
    // Each mode comes first in turn.
    for (const mode of [...MODES.slice(round % MODES.length), ...MODES.slice(0, round % MODES.length)]) {
      using _recording = recording(store, mode)
      const read = await cpuOf(READS, () => store.nodes.get('gw-1'))
      const write = await cpuOf(WRITES, (at) => store.nodes.update('gw-1', { started: at % 2 === 0 }))
      // The first round warms up.
      if (round === 0) continue
      reads.get(mode)?.push(read)
      writes.get(mode)?.push(write)
    }
  }
  const of = (rounds: ReadonlyMap<string, number[]>, mode: string): string =>
    medianOf(rounds.get(mode) ?? []).toFixed(2)
  console.log('| Metrics | read by key, CPU µs | durable write, CPU µs |\n|---|---|---|')
  for (const mode of MODES) console.log(`| ${mode} | ${of(reads, mode)} | ${of(writes, mode)} |`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
