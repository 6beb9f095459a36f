/**
 * `node bench/instrumented.ts [ROUNDS]`: what the metrics of meshstore/opentelemetry cost a read by key and a durable write. Each form has
 * a process of its own, as in an application, in which rounds with and without it alternate; processor time is compared.
 */
import { execFileSync } from 'node:child_process'
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
const MODES = ['the default', "the SDK's histogram", 'statements: false'] as const
type Mode = (typeof MODES)[number]
const node = { nodeId: 'gw-1', interfaces: ['eth0'], protocols: ['batman-adv'] }

function recording(store: Meshstore, mode: Mode | undefined): Disposable {
  if (mode === undefined) return { [Symbol.dispose]() {} }
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

const signed = (value: number, digits: number): string => `${value < 0 ? '' : '+'}${value.toFixed(digits)}`

async function measure(mode: Mode): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'meshstore-instrumented-'))
  try {
    await using store = await openStorage(join(folder, 'mesh.db'))
    await store.nodes.create(node)
    const reads = new Map<Mode | undefined, number[]>([mode, undefined].map((each) => [each, []]))
    const writes = new Map<Mode | undefined, number[]>([mode, undefined].map((each) => [each, []]))
    for (let round = 0; round <= ROUNDS; round++) {
      for (const each of round % 2 === 0 ? [mode, undefined] : [undefined, mode]) {
        using _recording = recording(store, each)
        // To subscribe makes the engine compile the path of a read anew.
        await cpuOf(READS, () => store.nodes.get('gw-1'))
        const read = await cpuOf(READS, () => store.nodes.get('gw-1'))
        const write = await cpuOf(WRITES, (at) => store.nodes.update('gw-1', { started: at % 2 === 0 }))
        // The first round warms up.
        if (round === 0) continue
        reads.get(each)?.push(read)
        writes.get(each)?.push(write)
      }
    }
    const cells = [reads, writes].map((rounds) => {
      const [without, withIt] = [medianOf(rounds.get(undefined) ?? []), medianOf(rounds.get(mode) ?? [])]
      return `${without.toFixed(2)} → ${withIt.toFixed(2)} (${signed(withIt - without, 2)}, ${signed((100 * withIt) / without - 100, 1)} %)`
    })
    return `| ${mode} | ${cells.join(' | ')} |`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const asked = MODES.find((mode) => mode === process.argv[3])
if (asked !== undefined) console.log(await measure(asked))
else {
  console.log('| Metrics | read by key, CPU µs | durable write, CPU µs |\n|---|---|---|')
  for (const mode of MODES)
    execFileSync(process.execPath, [import.meta.filename, String(ROUNDS), mode], { stdio: 'inherit' })
}
