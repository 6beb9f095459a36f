/** What `meshstore/opentelemetry` reports, by the SDK that applications use. */
import { context } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterEach, describe, expect, test } from 'vitest'
import { instrument } from '../src/opentelemetry-entry.ts'
import { lastingBackends } from './support/backends.ts'
import { temporaryFolder } from './support/folders.ts'

const SECRET = 'not-to-be-seen'
const node = { nodeId: SECRET, interfaces: [SECRET], protocols: [] }
const key = { source: SECRET, destination: 'b', k: 1 }
const bundle = { source: SECRET, destination: 'b', primary: [] }

function observed() {
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 })
  const spans = new InMemorySpanExporter()
  const meterProvider = new MeterProvider({ readers: [reader] })
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  const collect = async (): Promise<ReadonlyMap<string, MetricData>> => {
    metrics.reset()
    await meterProvider.forceFlush()
    const found = metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics: all }) => all))
    return new Map(found.map((metric) => [metric.descriptor.name, metric]))
  }
  return { meterProvider, tracerProvider, spans, collect }
}

const count = (metric: MetricData | undefined): number =>
  (metric?.dataPoints ?? []).reduce(
    (sum, { value }) => sum + (typeof value === 'number' ? value : 'count' in value ? value.count : 0),
    0,
  )

afterEach(() => context.disable())

describe.each(lastingBackends)('OpenTelemetry on $name', (backend) => {
  test('metrics count what was done, and hold no value', async () => {
    using folder = temporaryFolder()
    await using opened = await backend.open({ pathCache: { sweepSeconds: 3_600 } })
    const { store } = opened
    const { meterProvider, tracerProvider, spans, collect } = observed()
    using instrumented = instrument(store, { meterProvider, tracerProvider })

    await store.nodes.create(node)
    for (let read = 0; read < 3; read++) await store.nodes.get(SECRET)
    await expect(store.nodes.create(node)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await store.pathCache.getOrCompute(key, async () => bundle)
    await store.pathCache.getOrCompute(key, async () => bundle)
    await store.transaction((tx) => tx.nodes.update(SECRET, { started: true }))
    await expect(store.transaction(() => Promise.reject(new TypeError(SECRET)))).rejects.toThrow(TypeError)
    await store.pathCache.sweep()
    await store.backup(folder.file('backup.db'))

    const metrics = await collect()
    const operations = metrics.get('db.client.operation.duration')
    const gets = operations?.dataPoints.filter(({ attributes }) => attributes['db.operation.name'] === 'nodes.get')
    expect(gets?.map(({ attributes }) => attributes['db.system.name'])).toEqual([store.dialect])
    expect(gets?.[0]?.value).toMatchObject({ count: 3 })
    expect(operations?.descriptor.unit).toBe('s')
    const transactions = metrics.get('meshstore.transaction.duration')?.dataPoints ?? []
    expect(transactions.map(({ attributes }) => attributes['error.type']).sort()).toEqual(['TypeError', undefined])
    expect(count(metrics.get('meshstore.commit.writes'))).toBeGreaterThan(0)
    const origins = metrics.get('meshstore.cache.duration')?.dataPoints
    expect(origins?.map(({ attributes }) => attributes['meshstore.cache.origin']).sort()).toEqual(['computed', 'hit'])
    expect(count(metrics.get('meshstore.sweep.duration'))).toBe(1)
    expect(count(metrics.get('meshstore.backup.duration'))).toBe(1)
    expect(metrics.get('meshstore.readable')?.dataPoints[0]?.value).toBe(1)
    expect(metrics.get('meshstore.writable')?.dataPoints[0]?.value).toBe(1)
    expect(metrics.get('meshstore.problems')?.dataPoints ?? []).toEqual([])
    // The sweep has deleted the path: the update of its end invalidated it.
    expect(count(metrics.get('meshstore.rows'))).toBe(1)
    expect(count(metrics.get('meshstore.size'))).toBeGreaterThan(4_096)
    expect(metrics.has('meshstore.backup.age')).toBe(true)
    expect(metrics.has('meshstore.wal.size')).toBe(store.dialect === 'sqlite')

    const names = spans.getFinishedSpans().map(({ name }) => name)
    for (const name of [
      'nodes.get',
      'meshstore.transaction',
      'meshstore.commit',
      'meshstore.cache',
      'meshstore.backup',
    ])
      expect(names).toContain(name)
    const failed = spans.getFinishedSpans().find(({ attributes }) => attributes['error.type'] === 'TypeError')
    expect(failed).toMatchObject({ name: 'meshstore.transaction', status: { code: 2, message: 'TypeError' } })

    const everything = [
      ...metrics.values(),
      ...spans.getFinishedSpans().map(({ name, attributes, status, events }) => ({ name, attributes, status, events })),
    ]
    expect(JSON.stringify(everything)).not.toContain(SECRET)

    instrumented[Symbol.dispose]()
    spans.reset()
    await store.nodes.get(SECRET)
    expect(spans.getFinishedSpans()).toEqual([])
    await meterProvider.shutdown()
  })

  test('a database that does not answer is reported as such', async () => {
    await using opened = await backend.open()
    const { meterProvider, tracerProvider, spans, collect } = observed()
    using _instrumented = instrument(opened.store, { meterProvider, tracerProvider, spans: false })
    await opened.store.close()
    const metrics = await collect()
    expect(metrics.get('meshstore.readable')?.dataPoints[0]?.value).toBe(0)
    expect(metrics.get('meshstore.problems')?.dataPoints.map(({ attributes }) => attributes['error.type'])).toEqual([
      'CLOSED',
    ])
    expect(spans.getFinishedSpans()).toEqual([])
    await meterProvider.shutdown()
  })
})
